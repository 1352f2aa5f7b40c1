namespace Pulse.Worker.Billing;

/// <summary>A billing state as it is told: an operation's result, and what the audit log has before and after.</summary>
sealed record BillingState
{
    public required IReadOnlyList<string> Capabilities { get; init; }
    public required IReadOnlyDictionary<string, long> Limits { get; init; }
    public required IReadOnlyList<string> MetersEnabled { get; init; }
    public required string PlanVersion { get; init; }
    public required string SubscriptionState { get; init; }
    public DateTimeOffset? TrialEndsAt { get; init; }
    public DateTimeOffset? GraceUntil { get; init; }
    public DateTimeOffset? CancelsAt { get; init; }
    public required string Source { get; init; }
    public Guid? OverrideId { get; init; }

    /// <summary>Left out when not.</summary>
    public bool? Stale { get; init; }

    /// <summary>Left out when not.</summary>
    public bool? Conflict { get; init; }
    public required long Version { get; init; }

    /// <summary>What comes by itself, and when. In the audit log.</summary>
    public IReadOnlyList<Segment>? Later { get; init; }

    public static BillingState Of(Segment segment, long version) => new()
    {
        Capabilities = segment.Capabilities,
        Limits = segment.Limits,
        MetersEnabled = segment.MetersEnabled,
        PlanVersion = segment.PlanVersion,
        SubscriptionState = segment.State,
        TrialEndsAt = segment.TrialEndsAt,
        GraceUntil = segment.GraceUntil,
        CancelsAt = segment.CancelsAt,
        Source = segment.Source,
        OverrideId = segment.OverrideId,
        Stale = segment.Stale ? true : null,
        Conflict = segment.Conflict ? true : null,
        Version = version,
    };

    public static BillingState Of(IReadOnlyList<Segment> timeline, long version) => Of(timeline[0], version) with
    {
        Later = timeline.Count > 1 ? [.. timeline.Skip(1)] : null,
    };
}
