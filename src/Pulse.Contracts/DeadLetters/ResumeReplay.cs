namespace Pulse.Contracts.DeadLetters;

/// <summary>An operator lets a paused replay go on. What was said with it is in the <c>pulse.operations</c> row.</summary>
public sealed record ResumeReplay
{
    /// <summary>The operation, where its outcome goes.</summary>
    public required Guid OperationId { get; init; }

    /// <summary>The replay: the id of the operation that planned it.</summary>
    public required Guid ReplayId { get; init; }
}
