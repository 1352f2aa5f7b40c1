namespace Pulse.Contracts.Billing;

/// <summary>An operator takes back every override of an organization's billing state that is in force.</summary>
public sealed record RevokeBillingOverride
{
    /// <summary>The operation, where its outcome goes.</summary>
    public required Guid OperationId { get; init; }

    /// <summary>The organization.</summary>
    public required Guid OrgId { get; init; }
}
