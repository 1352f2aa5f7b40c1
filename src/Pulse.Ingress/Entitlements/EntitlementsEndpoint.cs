using System.Text.Json.Serialization;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.OpenApi;
using Pulse.Catalog;
using Pulse.Contracts.Keys;
using Pulse.Entitlements;
using Pulse.Hosting;
using Pulse.Ingress.Http;
using Pulse.Ingress.Keys;

namespace Pulse.Ingress.Entitlements;

/// <summary>What an organization may do, for services that don't use the library themselves. The answers are the library's.</summary>
static class EntitlementsEndpoint
{
    const string Path = "/api/orgs/{org_id}/entitlements";
    const int AskedMost = 100;

    public static void AddEntitlements(this IServiceCollection services, Settings settings)
    {
        // A small pool of its own: a flood of other requests must not make it answer from memory.
        var address = settings.Postgres("PULSE_POSTGRES");
        address.ApplicationName = "pulse-ingress-entitlements";
        address.MaxPoolSize = 4;
        // For whoever was never read, while the database can't be.
        var trial = Plans.Read(settings).Trial;
        if (address.Host is { Length: > 0 })
        {
            services.AddPulseEntitlements(options =>
            {
                options.ConnectionString = address.ConnectionString;
                options.TrialCapabilities = trial.Capabilities;
                options.TrialLimits = trial.Limits;
            });
        }

        services.ConfigureHttpJsonOptions(json => json.SerializerOptions.TypeInfoResolverChain.Insert(0, EntitlementsJson.Default));
    }

    public static void MapEntitlements(this IEndpointRouteBuilder routes)
    {
        var get = routes.MapGet(Path, AnswerAsync).RequireScope(Scopes.EntitlementsRead)
            .WithName("entitlements").WithTags("Entitlements")
            .WithSummary("What an organization may do now, and how fresh that is.")
            .WithDescription("""
                verdicts has an entry for each capability that is asked for, or for each that the organization has. While the database can't be
                reached the last known answer is given: freshness says so.
                """);
        get.ProducesProblem(StatusCodes.Status400BadRequest);
        get.ProducesProblem(StatusCodes.Status404NotFound);
        get.AddOpenApiOperationTransformer((operation, _, _) =>
        {
            operation.Parameters ??= [];
            operation.Parameters.Add(new OpenApiParameter
            {
                Name = "capability",
                In = ParameterLocation.Query,
                Description = "Which verdicts: may stand there several times.",
                Schema = new OpenApiSchema { Type = JsonSchemaType.Array, MaxItems = AskedMost, Items = new OpenApiSchema { Type = JsonSchemaType.String } },
            });
            return Task.CompletedTask;
        });
    }

    static async Task<Results<Ok<EntitlementAnswer>, ProblemHttpResult>> AnswerAsync(
        HttpContext context, string org_id, EntitlementReader reader, CancellationToken cancellationToken)
    {
        var asked = context.Request.Query["capability"];
        if (asked.Count > AskedMost || asked.Any(string.IsNullOrEmpty))
            return Problem.InvalidRequest($"capability is a name, and may stand there up to {AskedMost} times.").On(context);
        if (OrgAddress.Parse(org_id) is not { } id)
            return Problem.NotFound().On(context);
        if (await reader.GetAsync(id, cancellationToken) is { } state)
            return TypedResults.Ok(EntitlementAnswer.Of(state, asked.Count == 0 ? [.. state.Capabilities.Order(StringComparer.Ordinal)] : asked!));

        // Nothing is known: because there is none, or because nobody could be asked.
        var verdict = await reader.CheckAsync(id, "any", cancellationToken);
        return (verdict.Reason == DenialReason.Unavailable ? Problem.Unavailable() : Problem.NotFound()).On(context);
    }
}

/// <summary>What an organization may do.</summary>
sealed record EntitlementAnswer
{
    public required string OrgId { get; init; }

    /// <summary>Capability → whether it may, and why not.</summary>
    public required IReadOnlyDictionary<string, EntitlementVerdict> Verdicts { get; init; }

    /// <summary>One that is missing is no limit.</summary>
    public required IReadOnlyDictionary<string, long> Limits { get; init; }
    public required IReadOnlyList<string> MetersEnabled { get; init; }

    /// <summary>The platform's own: it may everything.</summary>
    public required bool Unlimited { get; init; }
    public required string Lifecycle { get; init; }
    public required string SubscriptionState { get; init; }
    public string? PlanVersion { get; init; }
    public required string Source { get; init; }
    public required long Version { get; init; }

    /// <summary>fresh, last_known or assumed.</summary>
    public required string Freshness { get; init; }

    /// <summary>When it was read from the database.</summary>
    public required DateTimeOffset AsOf { get; init; }

    /// <summary>When it will change by itself.</summary>
    public DateTimeOffset? NextBoundaryAt { get; init; }

    public static EntitlementAnswer Of(EntitlementState state, IEnumerable<string> capabilities) => new()
    {
        OrgId = OrgAddress.Text(state.OrgId),
        Verdicts = new SortedDictionary<string, EntitlementVerdict>(
            capabilities.Distinct().ToDictionary(capability => capability, capability => EntitlementVerdict.Of(state, capability)), StringComparer.Ordinal),
        Limits = state.Limits,
        MetersEnabled = state.MetersEnabled,
        Unlimited = state.Unlimited,
        Lifecycle = state.Lifecycle,
        SubscriptionState = state.SubscriptionState,
        PlanVersion = state.PlanVersion,
        Source = state.Source,
        Version = state.Version,
        Freshness = state.Freshness switch
        {
            Pulse.Entitlements.Freshness.Fresh => "fresh",
            Pulse.Entitlements.Freshness.LastKnown => "last_known",
            _ => "assumed",
        },
        AsOf = state.AsOf,
        NextBoundaryAt = state.NextBoundaryAt,
    };
}

/// <param name="Allowed">Whether it may.</param>
/// <param name="Reason">Why not.</param>
sealed record EntitlementVerdict(bool Allowed, string? Reason)
{
    public static EntitlementVerdict Of(EntitlementState state, string capability) =>
        state.DenialReason is { } denied ? new EntitlementVerdict(false, denied)
        : state.Unlimited || state.Capabilities.Contains(capability) ? new EntitlementVerdict(true, null)
        : new EntitlementVerdict(false, DenialReason.CapabilityMissing);
}

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower, DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull)]
[JsonSerializable(typeof(EntitlementAnswer))]
sealed partial class EntitlementsJson : JsonSerializerContext;
