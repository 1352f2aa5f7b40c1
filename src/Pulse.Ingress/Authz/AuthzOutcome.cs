namespace Pulse.Ingress.Authz;

/// <summary>How a question of a proxy ended. A closed set: labels of a metric, and reasons that callers branch on.</summary>
enum AuthzOutcome
{
    AllowedFresh,
    AllowedLastKnown,

    /// <summary>Never read, and allowed because PULSE_AUTHZ_UNKNOWN says so.</summary>
    AllowedUnknown,

    OrgMissing,
    OrgUnknown,

    /// <summary>The proxy names another organization than the token does.</summary>
    OrgMismatch,
    TokenInvalid,

    /// <summary>The issuer of tokens does not answer, and its keys are not known.</summary>
    TokenUnverified,

    OrgSuspended,
    OrgPendingDeletion,
    OrgInactive,
    SubscriptionRequired,
    CapabilityMissing,

    /// <summary>Never read, and denied.</summary>
    Unavailable,

    /// <summary>Not read within the bound, and PULSE_AUTHZ_UNKNOWN=closed.</summary>
    FailedClosed,
    RateLimited,

    /// <summary>Who asks has shown no key.</summary>
    ProxyUnknown,
}

/// <param name="Status">Of the answer.</param>
/// <param name="Result">allowed, denied, unauthenticated, limited, failed or refused.</param>
/// <param name="Reason">Also X-Pulse-Reason, of what is not allowed.</param>
/// <param name="Detail">For people.</param>
readonly record struct AuthzAnswer(int Status, string Result, string Reason, string Detail)
{
    static readonly AuthzAnswer[] All = [.. Enum.GetValues<AuthzOutcome>().Select(Describe)];

    public static AuthzAnswer Of(AuthzOutcome outcome) => All[(int)outcome];

    static AuthzAnswer Describe(AuthzOutcome outcome) => outcome switch
    {
        AuthzOutcome.AllowedFresh => new(204, "allowed", "fresh", ""),
        AuthzOutcome.AllowedLastKnown => new(204, "allowed", "last_known", ""),
        AuthzOutcome.AllowedUnknown => new(204, "allowed", "unavailable", ""),
        AuthzOutcome.OrgMissing => new(401, "unauthenticated", "org_missing", "The request names no organization."),
        AuthzOutcome.OrgUnknown => new(401, "unauthenticated", "org_unknown", "There is no such organization."),
        AuthzOutcome.OrgMismatch => new(401, "unauthenticated", "org_mismatch", "The token is not of this organization."),
        AuthzOutcome.TokenInvalid => new(401, "unauthenticated", "token_invalid", "The token is not valid, or names no organization."),
        AuthzOutcome.TokenUnverified => new(401, "unauthenticated", "token_unverified", "The token can't be verified at the moment."),
        AuthzOutcome.OrgSuspended => new(403, "denied", "org_suspended", "The organization is suspended."),
        AuthzOutcome.OrgPendingDeletion => new(403, "denied", "org_pending_deletion", "The organization is being deleted."),
        AuthzOutcome.OrgInactive => new(403, "denied", "org_inactive", "The organization is not active."),
        AuthzOutcome.SubscriptionRequired => new(403, "denied", "subscription_required", "The organization needs a subscription."),
        AuthzOutcome.CapabilityMissing => new(403, "denied", "capability_missing", "The organization's plan does not include this."),
        AuthzOutcome.Unavailable => new(403, "denied", "unavailable", "It is not known at the moment what the organization may do."),
        AuthzOutcome.FailedClosed => new(503, "failed", "unavailable", "It is not known at the moment what the organization may do."),
        AuthzOutcome.RateLimited => new(429, "limited", "rate_limited", "The organization sends too many requests."),
        _ => new(403, "refused", "proxy_unknown", $"Who asks must be a proxy of the platform: {AuthzHeaders.Key}."),
    };
}
