namespace Pulse.Contracts.Billing;

/// <summary>An operator takes back every override of an organization's billing state that is in force.</summary>
/// <remarks>The request of its <c>pulse.operations</c> row is <c>{"if_match":7}</c>, or <c>{}</c>.</remarks>
public sealed record RevokeBillingOverride
{
    /// <summary>The operation, where its outcome goes.</summary>
    public required Guid OperationId { get; init; }

    /// <summary>The organization.</summary>
    public required Guid OrgId { get; init; }
}
