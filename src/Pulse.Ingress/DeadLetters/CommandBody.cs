using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using Microsoft.AspNetCore.Http.HttpResults;
using Pulse.Ingress.Http;
using Pulse.Ingress.Keys;
using Pulse.Ingress.Operations;

namespace Pulse.Ingress.DeadLetters;

/// <summary>From the body of a command to its answer.</summary>
static class CommandBody
{
    public delegate TRequest? Parse<TRequest>(JsonElement body, out OrderedDictionary<string, string[]> errors)
        where TRequest : class;

    public delegate TRequest? ParseOptional<TRequest>(JsonElement? body, out OrderedDictionary<string, string[]> errors)
        where TRequest : class;

    public static Task<Results<Ok<TResult>, Accepted<OperationStatus>, ProblemHttpResult>> SubmitAsync<TRequest, TResult>(
        HttpContext context, Parse<TRequest> parse, Func<TRequest, Caller, Guid?, Task<OperationOutcome>> submit, JsonTypeInfo<TResult> json, Func<TResult, TResult> present)
        where TRequest : class
        where TResult : class =>
        SubmitAsync(context, context => JsonObjectBody.ReadAsync(context), (JsonElement? body, out OrderedDictionary<string, string[]> errors) => parse(body!.Value, out errors), submit, json, present);

    public static Task<Results<Ok<TResult>, Accepted<OperationStatus>, ProblemHttpResult>> SubmitOptionalAsync<TRequest, TResult>(
        HttpContext context, ParseOptional<TRequest> parse, Func<TRequest, Caller, Guid?, Task<OperationOutcome>> submit, JsonTypeInfo<TResult> json, Func<TResult, TResult> present)
        where TRequest : class
        where TResult : class =>
        SubmitAsync(context, OptionalAsync, parse, submit, json, present);

    static async Task<Results<Ok<TResult>, Accepted<OperationStatus>, ProblemHttpResult>> SubmitAsync<TRequest, TResult>(
        HttpContext context, Func<HttpContext, ValueTask<(JsonDocument? Body, Problem? Refusal)>> read, ParseOptional<TRequest> parse,
        Func<TRequest, Caller, Guid?, Task<OperationOutcome>> submit, JsonTypeInfo<TResult> json, Func<TResult, TResult> present)
        where TRequest : class
        where TResult : class
    {
        var (body, unreadable) = await read(context);
        using (body)
        {
            if (unreadable is not null)
                return unreadable.On(context);
            if (parse(body?.RootElement, out var errors) is not { } request)
                return ListQuery.Invalid(errors).On(context);

            var caller = Caller.Of(context);
            if (OperationKey.Read(context.Request.Headers[OperationKey.Header], caller, out var keyedId) is { } unkeyed)
                return unkeyed.On(context);

            return (await submit(request, caller, keyedId)).Answer(context, json, present);
        }
    }

    /// <summary>A command may come without a body at all.</summary>
    public static async ValueTask<(JsonDocument? Body, Problem? Refusal)> OptionalAsync(HttpContext context) =>
        context.Request.ContentLength is null or 0 && context.Request.ContentType is null ? (null, null) : await JsonObjectBody.ReadAsync(context);
}
