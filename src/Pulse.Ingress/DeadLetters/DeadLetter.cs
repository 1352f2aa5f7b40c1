using System.Text.Json;

namespace Pulse.Ingress.DeadLetters;

/// <summary>A dead letter in a list. What somebody else wrote is masked: <see cref="Masking"/>.</summary>
sealed record DeadLetterItem
{
    public required Guid DeadLetterId { get; init; }

    /// <summary>The queue that failed: where a replay sends it, and nowhere else.</summary>
    public required string Queue { get; init; }
    public required Guid MessageId { get; init; }

    /// <summary>fault, skipped, delivery_limit or other.</summary>
    public required string Reason { get; init; }
    public string? MessageType { get; init; }
    public string? ExceptionType { get; init; }

    /// <summary>Masked.</summary>
    public string? ExceptionMessage { get; init; }

    /// <summary>Its group's.</summary>
    public required string Fingerprint { get; init; }
    public Guid? OrgId { get; init; }

    /// <summary>parked, queued, replayed, resolved, failed_again, quarantined or discarded.</summary>
    public required string Status { get; init; }
    public required DateTime FirstFailedAt { get; init; }
    public required DateTime LastFailedAt { get; init; }

    /// <summary>How often it failed.</summary>
    public required int Occurrences { get; init; }

    /// <summary>How often it was replayed.</summary>
    public required int Attempts { get; init; }

    /// <summary>How many of these replays failed since it was last resolved or restored: three, and it is quarantined.</summary>
    public required int FailedReplays { get; init; }

    /// <summary>The replay that sent it last.</summary>
    public Guid? ReplayId { get; init; }
}

/// <summary>Everything of one dead letter, masked.</summary>
sealed record DeadLetterDetail
{
    public required DeadLetterItem Letter { get; init; }

    /// <summary>Masked.</summary>
    public string? Stack { get; init; }
    public required string ContentType { get; init; }
    public required int BodyBytes { get; init; }

    /// <summary>It was larger than what is kept: nothing replays it.</summary>
    public required bool BodyCut { get; init; }

    /// <summary>The body with what may be shown of it; null when it is no JSON.</summary>
    public JsonElement? Payload { get; init; }

    /// <summary>Name → value, masked.</summary>
    public required IReadOnlyDictionary<string, string> Headers { get; init; }

    /// <summary>The latest failures, the newest first.</summary>
    public required IReadOnlyList<Occurrence> Failures { get; init; }

    /// <summary>The latest replays that it was planned for, the newest first.</summary>
    public required IReadOnlyList<LetterReplay> Replays { get; init; }
    public string? DiscardReason { get; init; }
    public string? DiscardedBy { get; init; }
    public Guid? EditedFrom { get; init; }
    public Guid? EditedInto { get; init; }

    /// <summary>Of an edited copy: what differs from the letter that it was made of, masked.</summary>
    public IReadOnlyList<EditedField>? Edit { get; init; }
}

/// <summary>One failure.</summary>
sealed record Occurrence(DateTime FailedAt, string? ExceptionType, string? ExceptionMessage, Guid? ReplayId);

/// <param name="State">planned, queued, sent, resolved, failed_again, unanswered, excluded or cancelled.</param>
sealed record LetterReplay(Guid ReplayId, string State, DateTime? SentAt, DateTime? HandledAt);

sealed record EditedField(string Path, string Before, string After);

/// <summary>A dead letter unmasked: shown once, after the audit log says to whom.</summary>
sealed record RevealedDeadLetter
{
    public required Guid DeadLetterId { get; init; }
    public required DateTimeOffset AuditedAt { get; init; }
    public required string ContentType { get; init; }

    /// <summary>The body, if it is JSON.</summary>
    public JsonElement? Payload { get; init; }

    /// <summary>The body in Base64, if it is not.</summary>
    public string? PayloadBase64 { get; init; }
    public required JsonElement Headers { get; init; }
    public string? ExceptionMessage { get; init; }
    public string? Stack { get; init; }
}

/// <summary>Letters that failed alike: the same exception at the same place, for the same type of message.</summary>
sealed record DeadLetterGroup
{
    public required string Fingerprint { get; init; }
    public required string Reason { get; init; }
    public string? ExceptionType { get; init; }
    public string? MessageType { get; init; }

    /// <summary>Without what differs between two runs; masked.</summary>
    public string? Stack { get; init; }
    public required IReadOnlyList<string> Queues { get; init; }
    public required long Letters { get; init; }

    /// <summary>Status → how many.</summary>
    public required IReadOnlyDictionary<string, long> Statuses { get; init; }
    public required DateTime FirstFailedAt { get; init; }
    public required DateTime LastFailedAt { get; init; }

    /// <summary>The letter that failed last.</summary>
    public required Guid SampleId { get; init; }

    /// <summary>How many nobody has put right yet.</summary>
    internal long Open => Statuses.Where(status => status.Key is "parked" or "failed_again" or "quarantined").Sum(status => status.Value);
}
