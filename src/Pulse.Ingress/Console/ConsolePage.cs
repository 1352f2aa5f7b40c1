using System.Text;

namespace Pulse.Ingress.Console;

/// <summary>A whole page as an answer.</summary>
/// <param name="Request">Of whom; null for somebody who is not signed in.</param>
/// <param name="Title">Its heading, and the window's title.</param>
/// <param name="Body">What stands below the heading.</param>
sealed record ConsolePage(ConsoleRequest? Request, string Title, Html Body) : IResult
{
    public int Status { get; init; } = StatusCodes.Status200OK;

    /// <summary>The way back: title and address, the farthest first.</summary>
    public IReadOnlyList<(string Title, string Path)> Above { get; init; } = [];

    /// <summary>Stands beside the heading: a status, say.</summary>
    public Html Beside { get; init; }

    /// <summary>Loaded anew so often by a browser that runs no scripts.</summary>
    public TimeSpan? RefreshWithoutScript { get; init; }

    /// <summary>Where the browser goes by itself, at once.</summary>
    public string? GoTo { get; init; }

    public async Task ExecuteAsync(HttpContext httpContext)
    {
        httpContext.Response.StatusCode = Status;
        httpContext.Response.ContentType = "text/html; charset=utf-8";
        ConsoleHeaders.WriteTo(httpContext.Response.Headers);
        var bytes = Encoding.UTF8.GetBytes(Render(httpContext).ToString());
        httpContext.Response.ContentLength = bytes.Length;
        if (!HttpMethods.IsHead(httpContext.Request.Method))
            await httpContext.Response.Body.WriteAsync(bytes, httpContext.RequestAborted);
    }

    Html Render(HttpContext context) => Html.Of($"""
        <!doctype html>
        <html lang="en">
        <head>
        <meta charset="utf-8">
        <meta name="viewport" content="width=device-width, initial-scale=1">
        <meta name="color-scheme" content="light dark">
        <meta name="robots" content="noindex">
        {Reload()}
        <title>{Title} · Pulse</title>
        <link rel="icon" href="{ConsoleAssets.Icon.Path}" type="image/svg+xml">
        <link rel="stylesheet" href="{ConsoleAssets.Style.Path}">
        <script src="{ConsoleAssets.Script.Path}" defer></script>
        </head>
        <body>
        <a class="skip" href="#main">Skip to the content</a>
        {Header(context.Request.Path)}
        <main id="main" tabindex="-1">
        {Trail()}
        <div class="title"><h1>{Title}</h1>{Beside}</div>
        {Body}
        </main>
        <footer><p>Pulse console. Times are UTC.</p></footer>
        </body>
        </html>

        """);

    Html Reload() =>
        GoTo is { } path ? Html.Of($"""<meta http-equiv="refresh" content="0;url={path}">""")
        : RefreshWithoutScript is { } every ? Html.Of($"""<noscript><meta http-equiv="refresh" content="{(int)every.TotalSeconds}"></noscript>""")
        : Html.Nothing;

    Html Header(PathString here) => Request is not { } request
        ? Html.Of($"""<header><p class="brand"><span class="mark" aria-hidden="true"></span>Pulse</p></header>""")
        : Html.Of($"""
            <header>
            <p class="brand"><a href="{ConsolePath.Root}"><span class="mark" aria-hidden="true"></span>Pulse</a></p>
            <nav aria-label="Main"><ul>{Html.All(Sections(request).Select(section => Item(section, here)))}</ul></nav>
            <form class="who" method="post" action="{ConsolePath.SignOut}">
            {Element.Token(request)}
            <span title="Signed in with this key"><span class="hidden">Signed in as </span><code>{request.Caller.Actor}</code></span>
            <button type="submit" class="quiet">Sign out</button>
            </form>
            </header>
            """);

    static IEnumerable<ConsoleSection> Sections(ConsoleRequest request) =>
        request.Http.RequestServices.GetServices<ConsoleSection>().Where(section => request.May(section.Scope)).OrderBy(section => section.Order);

    static Html Item(ConsoleSection section, PathString here) => here.StartsWithSegments(section.Path)
        ? Html.Of($"""<li><a href="{section.Path}" aria-current="page">{section.Title}</a></li>""")
        : Html.Of($"""<li><a href="{section.Path}">{section.Title}</a></li>""");

    Html Trail() => Above.Count == 0
        ? Html.Nothing
        : Html.Of($"""<nav class="trail" aria-label="Where this is"><ol>{Html.All(Above.Select(place => Html.Of($"""<li><a href="{place.Path}">{place.Title}</a></li>""")))}</ol></nav>""");
}
