using Pulse.Ingress.Authz;

namespace Pulse.Tests.Authz;

/// <summary>Proxies branch on the status and the reason, alerts on the labels.</summary>
public sealed class AuthzAnswerTests
{
    [Fact]
    public void What_each_outcome_is_called_is_this_table() => Assert.Equal(
        [
            "AllowedFresh 204 allowed fresh",
            "AllowedLastKnown 204 allowed last_known",
            "AllowedUnknown 204 allowed unavailable",
            "OrgMissing 401 unauthenticated org_missing",
            "OrgUnknown 401 unauthenticated org_unknown",
            "OrgMismatch 401 unauthenticated org_mismatch",
            "TokenInvalid 401 unauthenticated token_invalid",
            "TokenUnverified 401 unauthenticated token_unverified",
            "OrgSuspended 403 denied org_suspended",
            "OrgPendingDeletion 403 denied org_pending_deletion",
            "OrgInactive 403 denied org_inactive",
            "SubscriptionRequired 403 denied subscription_required",
            "CapabilityMissing 403 denied capability_missing",
            "Unavailable 403 denied unavailable",
            "FailedClosed 503 failed unavailable",
            "RateLimited 429 limited rate_limited",
            "ProxyUnknown 403 refused proxy_unknown",
        ],
        from outcome in Enum.GetValues<AuthzOutcome>()
        let answer = AuthzAnswer.Of(outcome)
        select $"{outcome} {answer.Status} {answer.Result} {answer.Reason}");
}
