namespace Pulse.Contracts.DeadLetters;

/// <summary>An operator wants to see a dead letter's payload unmasked: it is audited before it is shown. What was said with it is in the <c>pulse.operations</c> row.</summary>
public sealed record RevealDeadLetter
{
    /// <summary>The operation, where its outcome goes.</summary>
    public required Guid OperationId { get; init; }

    /// <summary>The dead letter.</summary>
    public required Guid DeadLetterId { get; init; }
}
