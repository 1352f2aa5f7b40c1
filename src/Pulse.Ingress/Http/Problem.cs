using System.Diagnostics;
using System.Globalization;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Mvc;

namespace Pulse.Ingress.Http;

/// <summary>A refusal, as RFC 9457 has it.</summary>
sealed record Problem(int Status, string Code, string Title, string Detail)
{
    /// <summary>A field's name → what is wrong with it.</summary>
    public IReadOnlyDictionary<string, string[]>? Errors { get; init; }

    /// <summary>When it is worth to try again.</summary>
    public TimeSpan? RetryAfter { get; init; }

    public static Problem InvalidRequest(string detail) =>
        new(StatusCodes.Status400BadRequest, "invalid_request", "The request is not valid", detail);

    public static Problem NotFound() =>
        new(StatusCodes.Status404NotFound, "not_found", "Not found", "There is nothing at this address.");

    public static Problem PayloadTooLarge(int limit) =>
        new(StatusCodes.Status413PayloadTooLarge, "payload_too_large", "The body is too large", $"The body may have at most {limit} bytes.");

    public static Problem Unavailable() =>
        new(StatusCodes.Status503ServiceUnavailable, "unavailable", "Not available at the moment",
            "Nothing was changed that you can rely on. Try again later; with an Idempotency-Key nothing is done twice.")
        {
            RetryAfter = TimeSpan.FromSeconds(5),
        };

    public static Problem Internal() =>
        new(StatusCodes.Status500InternalServerError, "internal_error", "Internal error", "This is a fault of ours. It was logged under the trace_id.");

    /// <summary>What the framework refused with a bare status.</summary>
    public static Problem OfStatus(int status) => status switch
    {
        StatusCodes.Status400BadRequest => InvalidRequest("The request can't be read."),
        StatusCodes.Status404NotFound => NotFound(),
        StatusCodes.Status405MethodNotAllowed => new(status, "method_not_allowed", "Method not allowed", "The Allow header names the methods of this address."),
        StatusCodes.Status408RequestTimeout => new(status, "request_timeout", "The request took too long", "The body did not arrive in time."),
        StatusCodes.Status413PayloadTooLarge => new(status, "payload_too_large", "The body is too large", "The body is too large."),
        StatusCodes.Status500InternalServerError => Internal(),
        StatusCodes.Status503ServiceUnavailable => Unavailable(),
        _ => new(status, $"http_{status}", $"HTTP {status}", "The request was refused."),
    };

    /// <summary>The answer of an endpoint. Sets Retry-After.</summary>
    public ProblemHttpResult On(HttpContext context)
    {
        if (RetryAfter is { } wait)
            context.Response.Headers.RetryAfter = Math.Ceiling(wait.TotalSeconds).ToString(CultureInfo.InvariantCulture);

        var details = new ProblemDetails
        {
            Type = $"urn:pulse:problem:{Code}",
            Title = Title,
            Status = Status,
            Detail = Detail,
            Extensions = { ["code"] = Code, ["trace_id"] = TraceId(context) },
        };
        if (Errors is not null)
            details.Extensions["errors"] = Errors;

        return TypedResults.Problem(details);
    }

    /// <summary>Answers with it outside an endpoint.</summary>
    public Task WriteAsync(HttpContext context) => On(context).ExecuteAsync(context);

    public static string TraceId(HttpContext context) => Activity.Current?.TraceId.ToHexString() ?? context.TraceIdentifier;
}
