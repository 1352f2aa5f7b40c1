namespace Pulse.Contracts.Lifecycle;

/// <summary>An operator restores a deleted organization to the status that it had before. What was said with it is in the <c>pulse.operations</c> row.</summary>
public sealed record RestoreOrganization
{
    /// <summary>The operation, where its outcome goes.</summary>
    public required Guid OperationId { get; init; }

    /// <summary>The organization.</summary>
    public required Guid OrgId { get; init; }

    /// <summary>When ingress accepted it, UTC.</summary>
    public required DateTimeOffset AcceptedAt { get; init; }
}
