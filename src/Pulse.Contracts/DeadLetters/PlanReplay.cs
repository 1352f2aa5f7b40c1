namespace Pulse.Contracts.DeadLetters;

/// <summary>An operator plans a replay: which letters it would send is frozen, and nothing moves. The replay gets the operation's id. What was said with it is in the <c>pulse.operations</c> row.</summary>
public sealed record PlanReplay
{
    /// <summary>The operation, where its outcome goes.</summary>
    public required Guid OperationId { get; init; }
}
