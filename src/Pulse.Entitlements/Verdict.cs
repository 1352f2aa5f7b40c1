namespace Pulse.Entitlements;

/// <summary>Whether an organization may do something.</summary>
/// <param name="Allowed">Whether it may.</param>
/// <param name="Freshness">How well the answer is founded.</param>
/// <param name="Reason">Why not: one of <see cref="DenialReason"/>. Null when it may.</param>
/// <param name="AsOf">When what it rests on was read from the store, UTC. Of an assumption: when the organization was first asked for.</param>
public readonly record struct Verdict(bool Allowed, Freshness Freshness, string? Reason, DateTimeOffset AsOf);

/// <summary>How near a limit an organization is.</summary>
public enum LimitLevel
{
    /// <summary>Below the limit's soft part, or there is no limit.</summary>
    Within,

    /// <summary>At <see cref="EntitlementOptions.SoftPercent"/> or more: time to warn.</summary>
    Soft,

    /// <summary>At the limit or over it, or the organization may do nothing at all: block.</summary>
    Hard,
}

/// <summary>Whether an organization may use more of something that is counted.</summary>
/// <param name="Level">How near it is.</param>
/// <param name="Limit">The limit; null when there is none.</param>
/// <param name="Freshness">How well the answer is founded.</param>
/// <param name="Reason">Why it is blocked: one of <see cref="DenialReason"/>. Null unless <see cref="LimitLevel.Hard"/>.</param>
/// <param name="AsOf">As in <see cref="Verdict"/>.</param>
public readonly record struct LimitVerdict(LimitLevel Level, long? Limit, Freshness Freshness, string? Reason, DateTimeOffset AsOf)
{
    /// <summary>Whether more may be used: anything but <see cref="LimitLevel.Hard"/>.</summary>
    public bool Allowed => Level != LimitLevel.Hard;
}

/// <summary>Why something is denied. A closed set: fit for labels of metrics and for callers to branch on.</summary>
public static class DenialReason
{
    /// <summary>There is no such organization.</summary>
    public const string OrgNotFound = "org_not_found";

    /// <summary>Operators have suspended the organization.</summary>
    public const string OrgSuspended = "org_suspended";

    /// <summary>The organization is about to be deleted.</summary>
    public const string OrgPendingDeletion = "org_pending_deletion";

    /// <summary>The organization has another status that is not active, one that this version of the library doesn't know.</summary>
    public const string OrgInactive = "org_inactive";

    /// <summary>The state of its subscription gives no access: expired, or suspended for want of payment.</summary>
    public const string SubscriptionRequired = "subscription_required";

    /// <summary>It has access, but its plan lacks this capability.</summary>
    public const string CapabilityMissing = "capability_missing";

    /// <summary>As much is used as its plan allows.</summary>
    public const string LimitReached = "limit_reached";

    /// <summary>The store can't be reached, the organization was never read, and <see cref="EntitlementOptions.Assumed"/> is over.</summary>
    public const string Unavailable = "unavailable";
}
