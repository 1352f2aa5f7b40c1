namespace Pulse.Contracts.Lifecycle;

/// <summary>An operator confirms what a dry run listed. The list's hash is in the <c>pulse.operations</c> row.</summary>
public sealed record ConfirmPurges
{
    /// <summary>The operation, where its outcome goes.</summary>
    public required Guid OperationId { get; init; }
}
