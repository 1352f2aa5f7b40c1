using System.Globalization;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.OpenApi;
using Pulse.Ingress.Http;

namespace Pulse.Ingress.Operations;

/// <summary>A command's end as an HTTP answer.</summary>
static class OperationAnswers
{
    /// <summary>200 with the result, the refusal as a problem, or 202 with the operation's address.</summary>
    /// <param name="outcome">What became of it.</param>
    /// <param name="context">Its headers are set.</param>
    /// <param name="result">How the kind's result is read.</param>
    /// <param name="present">What is answered of it; sets the headers that go with it, such as its ETag.</param>
    public static Results<Ok<T>, Accepted<OperationStatus>, ProblemHttpResult> Answer<TResult, T>(
        this OperationOutcome outcome, HttpContext context, JsonTypeInfo<TResult> result, Func<TResult, T> present)
        where TResult : class
    {
        switch (outcome)
        {
            case OperationOutcome.Completed({ Status: "succeeded" } operation):
                var body = operation.Result?.Deserialize(result) ?? throw new JsonException("An operation succeeded without the result that its command answers with.");
                return TypedResults.Ok(present(body));

            case OperationOutcome.Completed({ Problem: var problem }):
                return Refusal(problem ?? new OperationProblem(StatusCodes.Status409Conflict, "refused", "It was refused.")).On(context);

            case OperationOutcome.Pending(var pending):
                context.Response.Headers.RetryAfter = 1.ToString(CultureInfo.InvariantCulture);
                return TypedResults.Accepted($"{OperationEndpoints.Path}/{pending.OperationId}", OperationStatus.Of(pending, null));

            default:
                return new Problem(StatusCodes.Status422UnprocessableEntity, "idempotency_key_reused", "The key was used before",
                    $"This {OperationKey.Header} was used for another command. A new command needs a new key.").On(context);
        }
    }

    // What the worker refuses is never the server's fault, whatever stands in the row.
    static Problem Refusal(OperationProblem problem) => new(
        problem.Status is >= 400 and < 500 ? problem.Status : StatusCodes.Status409Conflict, problem.Code, Title(problem.Code), problem.Detail);

    static string Title(string code) => code.Length == 0 ? "Refused" : char.ToUpperInvariant(code[0]) + code[1..].Replace('_', ' ');

    /// <summary>What the API document says of every command.</summary>
    public static RouteHandlerBuilder DescribeCommand(this RouteHandlerBuilder endpoint)
    {
        foreach (var status in (ReadOnlySpan<int>)[400, 404, 422])
            endpoint.ProducesProblem(status);

        return endpoint.AddOpenApiOperationTransformer((operation, _, _) =>
        {
            operation.Parameters ??= [];
            operation.Parameters.Add(new OpenApiParameter
            {
                Name = OperationKey.Header,
                In = ParameterLocation.Header,
                Description = "With the same key and command it is the same operation, and nothing is done twice.",
                Schema = new OpenApiSchema { Type = JsonSchemaType.String, MinLength = 1, MaxLength = 255, Pattern = "^[!-~]+$" },
            });
            if (operation.Responses?.TryGetValue("202", out var response) == true && response is OpenApiResponse accepted)
            {
                accepted.Description = "Stored, and done later: Location tells how far it is.";
                accepted.Headers = new Dictionary<string, IOpenApiHeader>
                {
                    ["Location"] = new OpenApiHeader { Description = "The operation.", Schema = new OpenApiSchema { Type = JsonSchemaType.String } },
                    ["Retry-After"] = new OpenApiHeader { Description = "Seconds.", Schema = new OpenApiSchema { Type = JsonSchemaType.String } },
                };
            }

            return Task.CompletedTask;
        });
    }
}
