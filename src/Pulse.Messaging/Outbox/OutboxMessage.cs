namespace Pulse.Messaging.Outbox;

/// <summary>One row of <c>messaging.outbox</c>: a message on its way to the broker, or a timer that will be one.</summary>
public sealed record OutboxMessage
{
    /// <summary>The row. Version 7, so that rows lie in the order of their making.</summary>
    public required Guid Id { get; init; }

    /// <summary>The AMQP message id: the same over every publish of this row.</summary>
    public required Guid MessageId { get; init; }

    /// <summary>The exchange it is published to; empty is the default exchange.</summary>
    public required string Exchange { get; init; }

    /// <summary>The routing key; empty for a fan-out exchange.</summary>
    public string RoutingKey { get; init; } = "";

    /// <summary>The AMQP content type, which names the envelope's format.</summary>
    public required string ContentType { get; init; }

    /// <summary>Transport headers as a JSON object of strings, numbers and booleans, or null for none.</summary>
    public string? Headers { get; init; }

    /// <summary>The serialized envelope.</summary>
    public required ReadOnlyMemory<byte> Body { get; init; }

    /// <summary>When it is due, UTC.</summary>
    public required DateTime DueAt { get; init; }

    /// <summary>When a relay may take it, UTC; <see cref="DateTime.MinValue"/> is at once.</summary>
    public required DateTime RelayAt { get; init; }

    /// <summary>From then on it is dropped instead of published, UTC; null for never.</summary>
    public DateTime? ExpiresAt { get; init; }

    /// <summary>What a timer is cancelled by; null for what can't be cancelled.</summary>
    public Guid? Token { get; init; }

    /// <summary>How often it was published in vain. Unroutable is in vain; a broker that is down is not counted.</summary>
    public int Attempts { get; init; }
}
