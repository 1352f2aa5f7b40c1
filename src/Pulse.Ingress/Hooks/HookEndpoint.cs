using System.Buffers.Text;
using System.Net.Mime;
using System.Security.Cryptography;
using System.Text;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.OpenApi;
using Npgsql;
using Pulse.Contracts.Hooks;
using Pulse.Ingress.Http;
using Pulse.Messaging.Outbox;

namespace Pulse.Ingress.Hooks;

/// <summary>Where the platform tells how a call of its provisioning hook ended that it had answered with 202. Who has the token may.</summary>
static class HookEndpoint
{
    public const string Path = "/api/hooks/provision/{token}";
    public const int BodyMost = 8 * 1024;

    // 256 bits in base64url.
    const int TokenLength = 43;

    public static void AddHooks(this IServiceCollection services) =>
        services.ConfigureHttpJsonOptions(json => json.SerializerOptions.TypeInfoResolverChain.Insert(0, HookJson.Default));

    public static void MapHooks(this IEndpointRouteBuilder routes) => Describe(routes.MapPost(Path, CompleteAsync));

    static async Task<Results<Ok<HookReceipt>, ProblemHttpResult>> CompleteAsync(
        string token, HttpContext context, NpgsqlDataSource dataSource, OutboxPublisher publisher, TimeProvider clock)
    {
        // What can't be a token costs no query.
        if (token.Length != TokenLength || !Base64Url.IsValid(token))
            return Problem.NotFound().On(context);
        if (!context.Request.HasJsonContentType())
            return Problem.InvalidRequest("The body must be JSON, and Content-Type say so: application/json.").On(context);
        if (await LimitedBody.ReadAsync(context.Request, BodyMost, context.RequestAborted) is not { } body)
            return Problem.PayloadTooLarge(BodyMost).On(context);
        if (HookCompletion.Parse(body) is not { } completion)
            return Problem.InvalidRequest($"The body must be a JSON object with status, succeeded or failed, and if wanted a reason of at most {HookCompletion.ReasonMost} characters.").On(context);

        return await StoreAsync(SHA256.HashData(Encoding.ASCII.GetBytes(token)), completion, dataSource, publisher, clock) switch
        {
            "taken" or "repeated" => TypedResults.Ok(new HookReceipt(completion.Status)),
            "contradicted" => Contradicted().On(context),
            "late" => Late().On(context),
            _ => Problem.NotFound().On(context),
        };
    }

    // One transaction: what the platform told, and the message that it was told.
    static async Task<string> StoreAsync(byte[] tokenHash, HookCompletion completion, NpgsqlDataSource dataSource, OutboxPublisher publisher, TimeProvider clock)
    {
        // The caller's patience doesn't count: the command timeout bounds it.
        await using var connection = await dataSource.OpenConnectionAsync(CancellationToken.None);
        await using var transaction = await connection.BeginTransactionAsync(CancellationToken.None);
        var (answer, callId) = await HookTable.CompleteAsync(connection, tokenHash, completion, clock.GetUtcNow().UtcDateTime, CancellationToken.None);
        if (answer != "taken")
            return answer;

        await using (var batch = new NpgsqlBatch(connection, transaction))
        {
            batch.BatchCommands.Add(publisher.Publish(new HookCallCompleted { CallId = callId!.Value }));
            batch.BatchCommands.Add(new NpgsqlBatchCommand("commit"));
            await batch.ExecuteNonQueryAsync(CancellationToken.None);
        }

        publisher.Committed();
        return answer;
    }

    static Problem Contradicted() =>
        new(StatusCodes.Status409Conflict, "already_completed", "It ended otherwise", "This call was completed before, with another status. The first one counts.");

    static Problem Late() =>
        new(StatusCodes.Status410Gone, "completed_too_late", "It was given up", "This call is not waited for any more. What was made for it is to be taken back: Pulse asks for that.");

    static void Describe(RouteHandlerBuilder endpoint)
    {
        endpoint.WithName("completeProvisionHook").WithTags("Hooks")
            .WithSummary("Completes a call of the provisioning hook that was answered with 202.")
            .WithDescription("The address is the callback_url of the call: nobody else knows it. A repeat gets the same answer.");
        foreach (var status in (ReadOnlySpan<int>)[400, 404, 409, 410, 413, 503])
            endpoint.ProducesProblem(status);

        endpoint.AddOpenApiOperationTransformer((operation, _, _) =>
        {
            operation.RequestBody = new OpenApiRequestBody
            {
                Required = true,
                Content = new Dictionary<string, OpenApiMediaType>
                {
                    [MediaTypeNames.Application.Json] = new()
                    {
                        Schema = new OpenApiSchema
                        {
                            Type = JsonSchemaType.Object,
                            Required = new HashSet<string> { "status" },
                            Properties = new Dictionary<string, IOpenApiSchema>
                            {
                                ["status"] = new OpenApiSchema { Type = JsonSchemaType.String, Enum = ["succeeded", "failed"] },
                                ["reason"] = new OpenApiSchema { Type = JsonSchemaType.String, MaxLength = HookCompletion.ReasonMost },
                            },
                        },
                    },
                },
            };
            return Task.CompletedTask;
        });
    }
}
