namespace Pulse.Contracts.Billing;

/// <summary>An operator sets an organization's billing state: an override. What to is in the <c>pulse.operations</c> row.</summary>
/// <remarks>
/// Its request is <c>{"effect":"pin","state":{…},"reason":"…","expires_at":"…","if_match":7}</c>: effect (deny, grant or pin) is pin when
/// left out; state has what the operator said of subscription_state, plan_version, capabilities, limits, meters_enabled, trial_ends_at and
/// grace_until; reason, expires_at and if_match, a version, may be left out.
/// </remarks>
public sealed record SetBillingState
{
    /// <summary>The operation, where its outcome goes.</summary>
    public required Guid OperationId { get; init; }

    /// <summary>The organization.</summary>
    public required Guid OrgId { get; init; }
}
