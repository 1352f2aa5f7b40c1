namespace Pulse.Contracts.DeadLetters;

/// <summary>An operator gives dead letters up, with a reason. What was said with it is in the <c>pulse.operations</c> row.</summary>
public sealed record DiscardDeadLetters
{
    /// <summary>The operation, where its outcome goes.</summary>
    public required Guid OperationId { get; init; }
}
