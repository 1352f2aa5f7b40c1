using System.Net.Mime;
using System.Text.Json.Serialization;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.OpenApi;
using Npgsql;
using Pulse.Contracts.Keys;
using Pulse.Entitlements;
using Pulse.Ingress.Http;
using Pulse.Ingress.Keys;

namespace Pulse.Ingress.Authz;

/// <summary>OpenID's AuthZEN Authorization API 1.0: may this user do this in this organization?</summary>
static class EvaluationEndpoint
{
    const string Path = "/access/v1/evaluation";
    const string MetadataPath = "/.well-known/authzen-configuration";
    const string RequestId = "X-Request-ID";
    const int RequestIdMost = 256;

    // Properties and context are the caller's own, and may be deeper than anything of ours.
    const int Depth = 64;

    const string UserType = "user";
    const string OrganizationType = "organization";

    public static void AddEvaluation(this IServiceCollection services) =>
        services.ConfigureHttpJsonOptions(json => json.SerializerOptions.TypeInfoResolverChain.Insert(0, EvaluationJson.Default));

    public static void MapEvaluation(this IEndpointRouteBuilder routes)
    {
        // Around the gate: a refusal has the request's id as well.
        var post = routes.MapPost(Path, AnswerAsync).AddEndpointFilter((invocation, next) =>
        {
            Echo(invocation.HttpContext);
            return next(invocation);
        }).RequireScope(Scopes.EntitlementsRead);
        post.WithName("evaluation").WithTags("AuthZEN")
            .WithSummary("Whether a user may do something in an organization, by role and by where the organization stands.")
            .WithDescription($"AuthZEN Authorization API 1.0. Actions: {string.Join(", ", EvaluationRules.Actions)}. context.capability: what the organization must have, too. A denial has context.reason.");
        foreach (var status in (ReadOnlySpan<int>)[400, 413])
            post.ProducesProblem(status);
        post.AddOpenApiOperationTransformer(async (operation, context, cancellationToken) => operation.RequestBody = new OpenApiRequestBody
        {
            Required = true,
            Description = $"At most {JsonObjectBody.Most} bytes.",
            Content = new Dictionary<string, OpenApiMediaType>
            {
                [MediaTypeNames.Application.Json] = new() { Schema = await context.GetOrCreateSchemaAsync(typeof(EvaluationBody), null, cancellationToken) },
            },
        });

        routes.MapGet(MetadataPath, (HttpContext context) =>
        {
            Echo(context);
            return TypedResults.Ok(EvaluationMetadata.At(context.Request));
        }).WithName("authzenConfiguration").WithTags("AuthZEN").WithSummary("Where the endpoints of AuthZEN are.");
    }

    static async Task<Results<Ok<Evaluation>, ProblemHttpResult>> AnswerAsync(
        HttpContext context, NpgsqlDataSource dataSource, EntitlementReader reader, TimeProvider clock, IServiceProvider services, CancellationToken cancellationToken)
    {
        var (body, refusal) = await JsonObjectBody.ReadAsync(context, Depth);
        if (body is null)
            return refusal!.On(context);

        using (body)
        {
            var (request, mistake) = EvaluationRequest.Read(body.RootElement);
            if (request is null)
                return Problem.InvalidRequest(mistake!).On(context);

            var policy = services.GetService<AuthzOptions>()?.Unknown ?? UnknownPolicy.LastKnown;
            return TypedResults.Ok(await EvaluateAsync(request, dataSource, reader, clock, policy, cancellationToken));
        }
    }

    static async Task<Evaluation> EvaluateAsync(
        EvaluationRequest request, NpgsqlDataSource dataSource, EntitlementReader reader, TimeProvider clock, UnknownPolicy policy, CancellationToken cancellationToken)
    {
        // What can't be a member of what can't be an organization is answered as any other who is no member.
        if (request.SubjectType != UserType || request.ResourceType != OrganizationType
            || !OrgAddress.TryParse(request.SubjectId, out var userId) || OrgAddress.Parse(request.ResourceId) is not { } orgId)
            return Evaluation.Denied(EvaluationRules.NotAMember);

        var role = await MembershipTable.RoleAsync(dataSource, orgId, userId, cancellationToken);
        var verdict = await reader.EnforceAsync(orgId, request.Capability, AuthzRules.Bound, cancellationToken);
        return EvaluationRules.Denial(role, request.Action, verdict, policy, clock.GetUtcNow()) is { } reason
            ? Evaluation.Denied(reason)
            : new Evaluation(true, null);
    }

    // As it came. What can't stand in a header of an answer is left out: it would be a fault of ours, and might be an attack.
    static void Echo(HttpContext context)
    {
        if (context.Request.Headers[RequestId] is [{ Length: > 0 and <= RequestIdMost } id] && id.All(letter => letter is >= ' ' and <= '~'))
            context.Response.Headers[RequestId] = id;
    }
}

/// <summary>AuthZEN's answer.</summary>
/// <param name="Decision">Whether the user may.</param>
/// <param name="Context">Why not.</param>
sealed record Evaluation(bool Decision, EvaluationContext? Context)
{
    public static Evaluation Denied(string reason) => new(false, new EvaluationContext(reason));
}

/// <param name="Reason">not_a_member, action_unknown, role_insufficient, operators_only, or why the organization may not.</param>
sealed record EvaluationContext(string Reason);

/// <summary>The question, for the API document.</summary>
sealed record EvaluationBody
{
    public required EvaluationEntity Subject { get; init; }
    public required EvaluationAction Action { get; init; }
    public required EvaluationEntity Resource { get; init; }

    /// <summary>Anything; capability is read.</summary>
    public IReadOnlyDictionary<string, object?>? Context { get; init; }
}

/// <param name="Type">user of a subject, organization of a resource.</param>
/// <param name="Id">Its id.</param>
sealed record EvaluationEntity(string Type, string Id);

/// <param name="Name">One of the actions.</param>
sealed record EvaluationAction(string Name);

/// <summary>AuthZEN's metadata, of the address that it was asked for at.</summary>
sealed record EvaluationMetadata(string PolicyDecisionPoint, string AccessEvaluationEndpoint)
{
    public static EvaluationMetadata At(HttpRequest request)
    {
        // Behind a proxy that ends TLS the scheme is the proxy's: AuthZEN is spoken over https only, but on this machine.
        var here = $"{(request.IsHttps || !IsHere(request.Host) ? "https" : "http")}://{request.Host}";
        return new EvaluationMetadata(here, $"{here}/access/v1/evaluation");
    }

    static bool IsHere(HostString host) => host.Host is "localhost" or "127.0.0.1" or "[::1]" or "::1";
}

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower, DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull)]
[JsonSerializable(typeof(Evaluation))]
[JsonSerializable(typeof(EvaluationBody))]
[JsonSerializable(typeof(EvaluationMetadata))]
sealed partial class EvaluationJson : JsonSerializerContext;
