using System.Text.Json;
using System.Text.Json.Serialization;

namespace Pulse.Worker.Billing;

/// <summary>What a tenant may do from a moment on: an element of <c>billing_states.timeline</c>.</summary>
sealed record Segment
{
    public required DateTimeOffset From { get; init; }

    /// <summary>trial, active, grace, expired or suspended.</summary>
    public required string State { get; init; }
    public required string PlanVersion { get; init; }
    public required IReadOnlyList<string> Capabilities { get; init; }

    /// <summary>A limit that is missing is none.</summary>
    public required IReadOnlyDictionary<string, long> Limits { get; init; }
    public required IReadOnlyList<string> MetersEnabled { get; init; }
    public DateTimeOffset? TrialEndsAt { get; init; }
    public DateTimeOffset? GraceUntil { get; init; }

    /// <summary>When the subscription is to be cancelled. Shown only: it ends when it has ended at Stripe.</summary>
    public DateTimeOffset? CancelsAt { get; init; }

    /// <summary>local_trial, stripe or override: who decided.</summary>
    public required string Source { get; init; }
    public string? SubscriptionId { get; init; }

    /// <summary>The open invoice that grace is counted from.</summary>
    public string? InvoiceId { get; init; }
    public Guid? OverrideId { get; init; }

    /// <summary>Stripe said something that Pulse doesn't know: this is what was known before.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingDefault)]
    public bool Stale { get; init; }

    /// <summary>Several overrides of one rank are in force: the newest won.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingDefault)]
    public bool Conflict { get; init; }

    /// <summary>What is known of each subscription, by its id. In <c>billing_states.underlying</c> only.</summary>
    public IReadOnlyDictionary<string, Holding>? Known { get; init; }

    /// <summary>Whether the tenant may do anything.</summary>
    [JsonIgnore]
    public bool GivesAccess => State is "trial" or "active" or "grace";

    /// <summary>Whether both say the same, from whenever on. By name, not by place: jsonb keeps no order of its own.</summary>
    public bool SaysTheSameAs(Segment other) => JsonElement.DeepEquals(
        JsonSerializer.SerializeToElement(this with { From = default }, Canonical.Json), JsonSerializer.SerializeToElement(other with { From = default }, Canonical.Json));
}

/// <summary>From a time on, a state. The first of several holds since ever.</summary>
readonly record struct Phase(DateTimeOffset From, string State);

/// <summary>What one subscription gives, in which state when.</summary>
sealed record Holding
{
    public required Segment Gives { get; init; }
    public required IReadOnlyList<Phase> Phases { get; init; }

    /// <summary>A tie goes to the newest.</summary>
    public required DateTimeOffset CreatedAt { get; init; }

    /// <summary>Of one that is suspended: since when Pulse knows, as Stripe doesn't tell.</summary>
    public DateTimeOffset? PausedSince { get; init; }

    /// <summary>It adds to another subscription, and decides nothing where there is one.</summary>
    public bool AddOn { get; init; }

    /// <summary>Nothing is known of it but that it is there.</summary>
    [JsonIgnore]
    public bool Unknown { get; init; }
}

/// <summary>Reading a timeline: segments by <see cref="Segment.From"/> ascending, at least one.</summary>
static class Timeline
{
    /// <summary>The segment in force at a time: the last that has begun, or the first when the reader's clock is behind.</summary>
    public static Segment At(this IReadOnlyList<Segment> timeline, DateTimeOffset time) =>
        timeline.LastOrDefault(segment => segment.From <= time) ?? timeline[0];

    /// <summary>Whether two timelines say the same at every time; since when the first segment holds does not count.</summary>
    public static bool SaysTheSameAs(this IReadOnlyList<Segment> timeline, IReadOnlyList<Segment> other) =>
        timeline.Count == other.Count && timeline.Zip(other).Index().All(pair =>
            (pair.Index == 0 || pair.Item.First.From == pair.Item.Second.From) && pair.Item.First.SaysTheSameAs(pair.Item.Second));
}
