namespace Pulse.Contracts.Billing;

/// <summary>An operator sets an organization's billing state: an override. What to is in the <c>pulse.operations</c> row.</summary>
public sealed record SetBillingState
{
    /// <summary>The operation, where its outcome goes.</summary>
    public required Guid OperationId { get; init; }

    /// <summary>The organization.</summary>
    public required Guid OrgId { get; init; }
}
