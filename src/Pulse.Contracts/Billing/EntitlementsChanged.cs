namespace Pulse.Contracts.Billing;

/// <summary>What an organization may do has changed, or changed by itself because a boundary has come.</summary>
public sealed record EntitlementsChanged
{
    /// <summary>The organization.</summary>
    public required Guid OrgId { get; init; }

    /// <summary>The version of its entitlements. One that is lower than what is known is old.</summary>
    public required long Version { get; init; }

    /// <summary>trial, active, grace, expired or suspended.</summary>
    public required string SubscriptionState { get; init; }

    /// <summary>When, UTC.</summary>
    public required DateTimeOffset ChangedAt { get; init; }
}
