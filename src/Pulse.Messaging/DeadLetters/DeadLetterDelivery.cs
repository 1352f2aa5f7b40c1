namespace Pulse.Messaging.DeadLetters;

/// <summary>A message as it lies in an endpoint's <c>_error</c> or <c>_skipped</c> queue. Nothing of it is understood or checked.</summary>
public sealed record DeadLetterDelivery
{
    /// <summary>The endpoint that it failed at.</summary>
    public required string Endpoint { get; init; }

    /// <summary>From the <c>_skipped</c> queue: the endpoint had no consumer for it.</summary>
    public required bool IsSkipped { get; init; }

    /// <summary>The AMQP message id, whatever it is.</summary>
    public string? MessageId { get; init; }

    /// <summary>The AMQP content type.</summary>
    public string? ContentType { get; init; }

    /// <summary>Strings, numbers, booleans and what AMQP else has: bytes, times, lists, tables.</summary>
    public required IReadOnlyDictionary<string, object?> Headers { get; init; }

    /// <summary>The body's bytes.</summary>
    public required ReadOnlyMemory<byte> Body { get; init; }
}

/// <summary>Stores dead letters durably. Returns when all of them are committed; then they leave their queues, for good.</summary>
/// <remarks>
/// What it throws is waited out, and the same batch comes again. A crash in between delivers them again as well: storing has to be repeatable.
/// </remarks>
public delegate Task StoreDeadLetters(IReadOnlyList<DeadLetterDelivery> letters, CancellationToken cancellationToken);
