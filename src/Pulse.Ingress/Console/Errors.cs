using Pulse.Ingress.Http;

namespace Pulse.Ingress.Console;

/// <summary>Pages that say what went wrong, and what to do.</summary>
static class Errors
{
    public static ConsolePage NotFound(ConsoleRequest? request) => Page(request, StatusCodes.Status404NotFound, "Not found",
        "There is nothing at this address. It may be mistyped; what stood here may have been purged, or its retention may be over.",
        Html.Of($"""<a href="{ConsolePath.Root}">Go to the start</a>"""));

    public static ConsolePage InsufficientScope(ConsoleRequest request, string scope) => Page(request, StatusCodes.Status403Forbidden, "Your key may not do this",
        $"This needs the scope {scope}, which key {request.Caller.Actor} does not have.",
        Html.Of($"""Sign out and sign in with a key that has it. <code>./pulse admin-key create --scopes {scope},…</code> makes one."""));

    public static ConsolePage ForeignForm(ConsoleRequest? request) => Page(request, StatusCodes.Status403Forbidden, "Nothing was done",
        "This form was not given out by this session: it is from before you signed in, or another site sent it.",
        Html.Of($"""Go back, load the page anew, and send it again."""));

    public static ConsolePage Unreadable(ConsoleRequest? request) => Page(request, StatusCodes.Status400BadRequest, "The form can't be read",
        "It is too long, or not in the form that browsers send.", Html.Of($"""Go back, and send it with less in it."""));

    public static ConsolePage Unavailable(HttpContext context)
    {
        context.Response.Headers.RetryAfter = "5";
        return Page(null, StatusCodes.Status503ServiceUnavailable, "The database does not answer",
            "Nothing was changed that you can rely on. Signups and webhooks are refused with 503 meanwhile, and their senders try again.",
            Html.Of($"""<a href="{ConsolePath.After(context.Request.Path)}">Try again</a> in some seconds. If it stays so, look at Postgres and at the ingress' log, trace <code>{Problem.TraceId(context)}</code>."""));
    }

    public static ConsolePage Internal(HttpContext context) => Page(null, StatusCodes.Status500InternalServerError, "Internal error",
        "This is a fault of Pulse's.",
        Html.Of($"""The ingress' log has it under trace <code>{Problem.TraceId(context)}</code>. <a href="{ConsolePath.Root}">Go to the start</a>"""));

    /// <summary>What the rules of the API say is wrong.</summary>
    public static ConsolePage Refused(ConsoleRequest request, Problem problem, string back) => Page(
        request, problem.Status, HttpMethods.IsPost(request.Http.Request.Method) ? "Nothing was done" : "This can't be shown", problem.Detail, Html.Of($"""<a href="{back}">Go back</a>"""));

    static ConsolePage Page(ConsoleRequest? request, int status, string title, string what, Html todo) =>
        new(request, title, Html.Of($"""<div class="notice bad" role="alert"><p>{what}</p><p>{todo}</p></div>""")) { Status = status };
}
