namespace Pulse.Contracts.DeadLetters;

/// <summary>An operator makes an edited copy of a dead letter, under a message id of its own. What was said with it is in the <c>pulse.operations</c> row.</summary>
public sealed record EditDeadLetter
{
    /// <summary>The operation, where its outcome goes.</summary>
    public required Guid OperationId { get; init; }

    /// <summary>The dead letter.</summary>
    public required Guid DeadLetterId { get; init; }
}
