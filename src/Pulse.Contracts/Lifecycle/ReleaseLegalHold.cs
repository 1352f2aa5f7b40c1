namespace Pulse.Contracts.Lifecycle;

/// <summary>An operator allows again that an organization is purged. What was said with it is in the <c>pulse.operations</c> row.</summary>
public sealed record ReleaseLegalHold
{
    /// <summary>The operation, where its outcome goes.</summary>
    public required Guid OperationId { get; init; }

    /// <summary>The organization.</summary>
    public required Guid OrgId { get; init; }

    /// <summary>When ingress accepted it, UTC.</summary>
    public required DateTimeOffset AcceptedAt { get; init; }
}
