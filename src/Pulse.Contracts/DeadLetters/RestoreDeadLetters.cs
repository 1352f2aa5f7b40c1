namespace Pulse.Contracts.DeadLetters;

/// <summary>An operator takes discarded or quarantined dead letters back, with a reason. What was said with it is in the <c>pulse.operations</c> row.</summary>
public sealed record RestoreDeadLetters
{
    /// <summary>The operation, where its outcome goes.</summary>
    public required Guid OperationId { get; init; }
}
