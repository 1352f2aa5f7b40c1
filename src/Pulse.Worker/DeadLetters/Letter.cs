namespace Pulse.Worker.DeadLetters;

/// <summary>A dead letter as it is stored: every text is one that Postgres can hold, and none is longer than it may be.</summary>
sealed record Letter
{
    public required string Queue { get; init; }

    /// <summary>Its own, or one that follows from its bytes.</summary>
    public required Guid MessageId { get; init; }

    /// <summary>fault, skipped, delivery_limit or other.</summary>
    public required string Reason { get; init; }
    public required bool IsEnvelope { get; init; }
    public string? MessageType { get; init; }
    public string? ExceptionType { get; init; }
    public string? ExceptionMessage { get; init; }
    public string? Stack { get; init; }
    public required string Fingerprint { get; init; }

    /// <summary>The stack that the fingerprint is of.</summary>
    public string? NormalStack { get; init; }
    public Guid? OrgId { get; init; }
    public required Guid[] Ids { get; init; }
    public required string ContentType { get; init; }

    /// <summary>JSON.</summary>
    public required string Headers { get; init; }
    public required byte[] Body { get; init; }

    /// <summary>How long it was, if <see cref="Body"/> is only its beginning.</summary>
    public required int BodyBytes { get; init; }

    /// <summary>When it failed; null when nothing says so.</summary>
    public DateTimeOffset? FailedAt { get; init; }

    /// <summary>Tells this failure from another of the same message, and not from another delivery of this one.</summary>
    public required string Failure { get; init; }

    /// <summary>The replay that failed.</summary>
    public Guid? ReplayId { get; init; }
    public string? Host { get; init; }
}
