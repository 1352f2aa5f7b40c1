namespace Pulse.Ingress.Http;

static class AnswerHeaders
{
    /// <summary>On every answer, errors too: nothing is to be sniffed, and nothing to be kept unless it says so itself.</summary>
    public static void UseAnswerHeaders(this IApplicationBuilder app) => app.Use((context, next) =>
    {
        context.Response.OnStarting(static state =>
        {
            var headers = ((HttpContext)state).Response.Headers;
            headers.XContentTypeOptions = "nosniff";
            if (headers.CacheControl.Count == 0)
                headers.CacheControl = "no-store";

            return Task.CompletedTask;
        }, context);
        return next(context);
    });
}
