using System.Globalization;
using Npgsql;
using Pulse.Contracts.Keys;
using Pulse.Ingress.Http;
using Pulse.Ingress.Keys;

namespace Pulse.Ingress.Console;

/// <summary>In and out, with an admin key. The key itself is not kept: a session remembers its id.</summary>
static partial class SignIn
{
    public static void MapConsole(this IEndpointRouteBuilder routes)
    {
        ConsoleAssets.Map(routes);
        routes.MapGet(ConsolePath.SignIn, context => ConsoleGate.AnswerAsync(context, ShowAsync)).ExcludeFromDescription();
        routes.MapPost(ConsolePath.SignIn, context => ConsoleGate.AnswerAsync(context, EnterAsync)).ExcludeFromDescription();
        routes.MapAction(ConsolePath.SignOut, null, LeaveAsync);
        routes.MapPage(ConsolePath.Root, null, request => Task.FromResult<IResult>(new SeeOther(First(request))));
        routes.MapPage(ConsolePath.Root + "/{**rest}", null, request => Task.FromResult<IResult>(Errors.NotFound(request)));
    }

    static string First(ConsoleRequest request) => request.Http.RequestServices.GetServices<ConsoleSection>()
        .Where(section => request.May(section.Scope)).OrderBy(section => section.Order).First().Path;

    static async Task<IResult> ShowAsync(HttpContext context)
    {
        var next = ConsolePath.After(context.Request.Query["next"]);
        return await ConsoleGate.FindAsync(context) is not null ? new SeeOther(next) : Form(context, next, null, StatusCodes.Status200OK);
    }

    static async Task<IResult> EnterAsync(HttpContext context)
    {
        if (await ConsoleForm.ReadAsync(context.Request, 4096) is not { } form)
            return Errors.Unreadable(null);

        // Another site must not sign somebody in as somebody else.
        var guest = context.Request.Cookies[ConsoleSession.GuestCookieName(context.Request.IsHttps)];
        if (ConsoleGate.IsCrossSite(context.Request) || guest is null || !ConsoleSession.IsFormToken(guest, form[ConsoleForm.TokenField]))
            return Form(context, ConsolePath.After(form["next"]), "The form was too old, or cookies are switched off for this site. Try once more.", StatusCodes.Status403Forbidden);

        var next = ConsolePath.After(form["next"]);
        var services = context.RequestServices;
        var (database, now) = (services.GetRequiredService<NpgsqlDataSource>(), services.GetRequiredService<TimeProvider>().GetUtcNow());
        var log = services.GetRequiredService<ILoggerFactory>().CreateLogger("Pulse.Ingress.Console");
        var client = ClientAddress.ForLimits(context.Connection.RemoteIpAddress);
        if (!await SessionTable.TryAsync(database, client, now.UtcDateTime, context.RequestAborted))
        {
            context.Response.Headers.RetryAfter = ((int)SessionTable.Window.TotalSeconds).ToString(CultureInfo.InvariantCulture);
            TooMany(log);
            return Form(context, next, $"Too many wrong keys came from your address. Wait for {(int)SessionTable.Window.TotalMinutes} minutes.", StatusCodes.Status429TooManyRequests);
        }

        var key = form["key"] ?? "";
        if (!AccessKey.TryRead(key, out var keyId, out _) || await services.GetRequiredService<KeyRing>().FindAsync(key, context.RequestAborted) is not { } caller)
            return Form(context, next, "This key is not valid, or no longer: it is mistyped, expired or revoked.", StatusCodes.Status401Unauthorized);

        await SessionTable.RightAsync(database, client, context.RequestAborted);
        // A new secret, whatever the browser had: nobody can have put it there.
        var secret = ConsoleSession.NewSecret();
        await SessionTable.BeginAsync(database, ConsoleSession.Hash(secret)!, keyId, now.UtcDateTime, (now + ConsoleSession.Length).UtcDateTime, context.RequestAborted);
        var secure = context.Request.IsHttps;
        context.Response.Cookies.Append(ConsoleSession.CookieName(secure), secret, ConsoleSession.Cookie(secure));
        context.Response.Cookies.Delete(ConsoleSession.GuestCookieName(secure), ConsoleSession.Cookie(secure));
        SignedIn(log, caller.Actor);
        return new SeeOther(next);
    }

    static async Task<IResult> LeaveAsync(ConsoleRequest request, ConsoleForm form)
    {
        var secure = request.Http.Request.IsHttps;
        await SessionTable.EndAsync(request.Database, ConsoleSession.Hash(ConsoleGate.Secret(request.Http))!, request.Aborted);
        request.Http.Response.Cookies.Delete(ConsoleSession.CookieName(secure), ConsoleSession.Cookie(secure));
        return new SeeOther(ConsolePath.SignIn);
    }

    static ConsolePage Form(HttpContext context, string next, string? mistake, int status)
    {
        var secure = context.Request.IsHttps;
        // One that the browser has is kept, or the form in its other tab would be too old.
        var guest = context.Request.Cookies[ConsoleSession.GuestCookieName(secure)];
        if (guest is null || ConsoleSession.Hash(guest) is null)
            context.Response.Cookies.Append(ConsoleSession.GuestCookieName(secure), guest = ConsoleSession.NewSecret(), ConsoleSession.Cookie(secure));
        return new ConsolePage(null, "Sign in", Html.Of($"""
            <div class="sign-in">
            {(mistake is null ? Html.Nothing : Html.Of($"""<div class="notice bad" role="alert" id="mistake"><p>{mistake}</p></div>"""))}
            <form method="post" action="{ConsolePath.SignIn}" class="command">
            <input type="hidden" name="{ConsoleForm.TokenField}" value="{ConsoleSession.FormToken(guest)}">
            <input type="hidden" name="next" value="{next}">
            <div class="field"><label for="key">Admin key</label>
            <input id="key" name="key" type="password" required maxlength="200" autocomplete="current-password" spellcheck="false" autofocus aria-describedby="key-hint">
            <p class="hint" id="key-hint">It begins with <code>pulse_</code>. To make one: <code>./pulse admin-key create --scopes …</code></p></div>
            <p class="buttons"><button type="submit" class="main">Sign in</button></p>
            </form>
            </div>
            """))
        {
            Status = status,
        };
    }

    [LoggerMessage(Level = LogLevel.Information, Message = "{Actor} signed in to the console")]
    static partial void SignedIn(ILogger logger, string actor);

    [LoggerMessage(Level = LogLevel.Warning, Message = "Too many wrong keys were tried at the console's sign-in from one address")]
    static partial void TooMany(ILogger logger);
}
