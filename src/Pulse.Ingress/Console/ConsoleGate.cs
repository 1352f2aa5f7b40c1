using Npgsql;
using Pulse.Ingress.Http;
using Pulse.Ingress.Keys;

namespace Pulse.Ingress.Console;

/// <summary>
/// In front of every page of the console: who is it, may they, and is a form one that was given to them. A revoked key has no pages
/// within three seconds, whatever session it began.
/// </summary>
static partial class ConsoleGate
{
    public const int FormMost = 64 * 1024;

    /// <summary>A page to read.</summary>
    /// <param name="routes">Where it is mapped.</param>
    /// <param name="path">Below <see cref="ConsolePath.Root"/>.</param>
    /// <param name="scope">What its reader needs; null: any key.</param>
    /// <param name="page">Makes it.</param>
    public static void MapPage(this IEndpointRouteBuilder routes, string path, string? scope, Func<ConsoleRequest, Task<IResult>> page) =>
        routes.MapGet(path, context => AnswerAsync(context, async _ => await EnterAsync(context, scope) switch
        {
            (null, { } refusal) => refusal,
            ({ } request, _) => await page(request),
            _ => throw new InvalidOperationException("Neither in nor out."),
        })).ExcludeFromDescription();

    /// <summary>What a form does. Only of a form that this session was given: <see cref="ConsoleSession.FormToken"/>.</summary>
    public static void MapAction(
        this IEndpointRouteBuilder routes, string path, string? scope, Func<ConsoleRequest, ConsoleForm, Task<IResult>> action, int most = FormMost) =>
        routes.MapPost(path, context => AnswerAsync(context, async _ =>
        {
            var (request, refusal) = await EnterAsync(context, scope);
            if (request is null)
                return refusal!;
            if (await ConsoleForm.ReadAsync(context.Request, most) is not { } form)
                return Errors.Unreadable(request);

            return IsCrossSite(context.Request) || !ConsoleSession.IsFormToken(Secret(context)!, form[ConsoleForm.TokenField])
                ? Errors.ForeignForm(request)
                : await action(request, form);
        })).ExcludeFromDescription();

    /// <summary>What goes wrong on the way to a page becomes a page as well.</summary>
    public static async Task AnswerAsync(HttpContext context, Func<HttpContext, Task<IResult>> answer) => await (await GuardedAsync(context, answer)).ExecuteAsync(context);

    static async Task<IResult> GuardedAsync(HttpContext context, Func<HttpContext, Task<IResult>> answer)
    {
        try
        {
            return await answer(context);
        }
        catch (Exception exception) when (exception is TimeoutException || (exception is NpgsqlException postgres && Unhandled.IsUnavailable(postgres)))
        {
            Unavailable(Log(context), Problem.TraceId(context), exception.GetType().Name);
            return Errors.Unavailable(context);
        }
        catch (Exception exception) when (exception is not (OperationCanceledException or BadHttpRequestException))
        {
            Bug(Log(context), exception, Problem.TraceId(context));
            return Errors.Internal(context);
        }
    }

    /// <summary>Who has this session now; null when nobody has.</summary>
    public static async Task<ConsoleRequest?> FindAsync(HttpContext context)
    {
        var secret = Secret(context);
        if (ConsoleSession.Hash(secret) is not { } hash)
            return null;

        var services = context.RequestServices;
        var now = services.GetRequiredService<TimeProvider>().GetUtcNow();
        return await SessionTable.FindAsync(services.GetRequiredService<NpgsqlDataSource>(), hash, now.UtcDateTime, context.RequestAborted) is { } keyId
            && await services.GetRequiredService<KeyRing>().FindByIdAsync(keyId, context.RequestAborted) is { } caller
            ? new ConsoleRequest(context, caller, ConsoleSession.FormToken(secret!))
            : null;
    }

    public static string? Secret(HttpContext context) => context.Request.Cookies[ConsoleSession.CookieName(context.Request.IsHttps)];

    /// <summary>As browsers say it. Those that say nothing are held by the token alone.</summary>
    public static bool IsCrossSite(HttpRequest request) => request.Headers["Sec-Fetch-Site"] is [{ } site] && site is not ("same-origin" or "none");

    static async Task<(ConsoleRequest? Request, IResult? Refusal)> EnterAsync(HttpContext context, string? scope)
    {
        if (await FindAsync(context) is { } request)
            return request.May(scope) ? (request, null) : (null, Errors.InsufficientScope(request, scope!));

        var reading = HttpMethods.IsGet(context.Request.Method);
        var here = $"{context.Request.Path}{context.Request.QueryString}";
        // A strict cookie does not come along from a link in a chat, say. Once more, from here, and it does.
        if (reading && Secret(context) is null && IsCrossSite(context.Request))
            return (null, new ConsolePage(null, "One moment", Html.Of($"""<p><a href="{ConsolePath.After(here)}">Go on</a></p>""")) { GoTo = ConsolePath.After(here) });

        return (null, new SeeOther(ConsolePath.With(ConsolePath.SignIn, ("next", reading ? here : null))));
    }

    static ILogger Log(HttpContext context) => context.RequestServices.GetRequiredService<ILoggerFactory>().CreateLogger("Pulse.Ingress.Console");

    [LoggerMessage(Level = LogLevel.Warning, Message = "{TraceId} the console answered 503: {Exception}")]
    static partial void Unavailable(ILogger logger, string traceId, string exception);

    [LoggerMessage(Level = LogLevel.Error, Message = "{TraceId} the console answered 500")]
    static partial void Bug(ILogger logger, Exception exception, string traceId);
}

/// <summary>303: what comes next is read, so that a page that is loaded anew sends no form again.</summary>
sealed record SeeOther(string Path) : IResult
{
    public Task ExecuteAsync(HttpContext httpContext)
    {
        ConsoleHeaders.WriteTo(httpContext.Response.Headers);
        httpContext.Response.StatusCode = StatusCodes.Status303SeeOther;
        httpContext.Response.Headers.Location = Path;
        return Task.CompletedTask;
    }
}
