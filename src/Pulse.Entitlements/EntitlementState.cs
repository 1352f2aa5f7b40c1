namespace Pulse.Entitlements;

/// <summary>Everything that is known of what an organization may do now.</summary>
public sealed record EntitlementState
{
    /// <summary>The organization.</summary>
    public required Guid OrgId { get; init; }

    /// <summary>Counts its changes; 0 for an assumption.</summary>
    public required long Version { get; init; }

    /// <summary>The organization's own status: active, suspended or pending_deletion. Anything but active denies everything.</summary>
    public required string Lifecycle { get; init; }

    /// <summary>The platform's own organization: everything is allowed, and nothing limited.</summary>
    public required bool Unlimited { get; init; }

    /// <summary>trial, active, grace, expired or suspended; access is in the first three. Of an unlimited organization: active.</summary>
    public required string SubscriptionState { get; init; }

    /// <summary>The plan and its version; null of an unlimited organization.</summary>
    public required string? PlanVersion { get; init; }

    /// <summary>What it may do, as the plan names it; empty without access. They hold only while <see cref="Lifecycle"/> is active.</summary>
    public required IReadOnlySet<string> Capabilities { get; init; }

    /// <summary>How much of what; what is not in it has no limit.</summary>
    public required IReadOnlyDictionary<string, long> Limits { get; init; }

    /// <summary>What is metered.</summary>
    public required IReadOnlyList<string> MetersEnabled { get; init; }

    /// <summary>When its trial ends, UTC.</summary>
    public DateTimeOffset? TrialEndsAt { get; init; }

    /// <summary>Until when it has grace to pay, UTC.</summary>
    public DateTimeOffset? GraceUntil { get; init; }

    /// <summary>Who decided: local_trial, stripe or override; assumed when nobody did.</summary>
    public required string Source { get; init; }

    /// <summary>When the next change that is already known comes, UTC; null when none is.</summary>
    public DateTimeOffset? NextBoundaryAt { get; init; }

    /// <summary>When it was last known to be what Stripe says, UTC; null for an assumption.</summary>
    public DateTimeOffset? VerifiedAt { get; init; }

    /// <summary>How well this is founded.</summary>
    public required Freshness Freshness { get; init; }

    /// <summary>When it was read from the store, UTC. Of an assumption: when the organization was first asked for.</summary>
    public required DateTimeOffset AsOf { get; init; }

    /// <summary>Why everything is denied whatever the capability: one of <see cref="DenialReason"/>; null when capabilities decide.</summary>
    public required string? DenialReason { get; init; }
}
