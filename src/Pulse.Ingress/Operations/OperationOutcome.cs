namespace Pulse.Ingress.Operations;

/// <summary>What became of a command, as far as it is known now.</summary>
abstract record OperationOutcome
{
    /// <summary>Stored, and on its way: it will be done.</summary>
    public sealed record Pending(Operation Operation) : OperationOutcome;

    /// <summary>The worker has done it, or refused it.</summary>
    public sealed record Completed(Operation Operation) : OperationOutcome;

    /// <summary>The Idempotency-Key was used for another command.</summary>
    public sealed record KeyReused : OperationOutcome;
}
