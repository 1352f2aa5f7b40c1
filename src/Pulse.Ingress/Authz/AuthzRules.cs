using Pulse.Entitlements;

namespace Pulse.Ingress.Authz;

/// <summary>From what is known of an organization to an answer.</summary>
static class AuthzRules
{
    /// <summary>Longer than any name in a plans file: nobody has it.</summary>
    public const int CapabilityMost = 128;

    /// <summary>How old what was read may be while the store can be asked.</summary>
    public static readonly TimeSpan Bound = TimeSpan.FromSeconds(60);

    /// <param name="verdict">The library's.</param>
    /// <param name="policy">For when it rests on too little.</param>
    /// <param name="now">By Pulse's clock.</param>
    public static AuthzOutcome Decide(in Verdict verdict, UnknownPolicy policy, DateTimeOffset now)
    {
        // What the library assumes of an organization that it never read is no ground to let anybody in.
        if (verdict.Freshness == Freshness.Assumed)
        {
            return policy switch
            {
                UnknownPolicy.Open => AuthzOutcome.AllowedUnknown,
                UnknownPolicy.Closed => AuthzOutcome.FailedClosed,
                _ => AuthzOutcome.Unavailable,
            };
        }

        if (policy == UnknownPolicy.Closed && verdict.Freshness == Freshness.LastKnown && (now - verdict.AsOf).Duration() > Bound)
            return AuthzOutcome.FailedClosed;
        if (verdict.Allowed)
            return verdict.Freshness == Freshness.Fresh ? AuthzOutcome.AllowedFresh : AuthzOutcome.AllowedLastKnown;

        return verdict.Reason switch
        {
            DenialReason.OrgNotFound => AuthzOutcome.OrgUnknown,
            DenialReason.OrgSuspended => AuthzOutcome.OrgSuspended,
            DenialReason.OrgPendingDeletion => AuthzOutcome.OrgPendingDeletion,
            DenialReason.SubscriptionRequired => AuthzOutcome.SubscriptionRequired,
            DenialReason.CapabilityMissing => AuthzOutcome.CapabilityMissing,
            DenialReason.Unavailable => AuthzOutcome.Unavailable,
            _ => AuthzOutcome.OrgInactive,
        };
    }

    /// <summary>As X-Pulse-Freshness has it.</summary>
    public static string Text(Freshness freshness) => freshness switch
    {
        Freshness.Fresh => "fresh",
        Freshness.LastKnown => "last_known",
        _ => "assumed",
    };
}
