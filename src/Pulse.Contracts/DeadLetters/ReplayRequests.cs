using System.Text.Json.Serialization;

namespace Pulse.Contracts.DeadLetters;

/// <summary><c>operations.request</c> of <see cref="PlanReplay"/>: a filter or ids, not both.</summary>
/// <remarks>Not a message, but read by another build than wrote it all the same: add to it, change nothing. So are all of these.</remarks>
public sealed record PlanRequest
{
    /// <summary>The letters that it finds now, up to <see cref="Most"/>: those that failed last.</summary>
    [JsonPropertyName("filter"), JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public DeadLetterFilter? Filter { get; init; }

    /// <summary>These letters, at most 10 000.</summary>
    [JsonPropertyName("ids"), JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public IReadOnlyList<Guid>? Ids { get; init; }

    /// <summary>Takes quarantined letters as well. With <see cref="Ids"/> only.</summary>
    [JsonPropertyName("include_quarantined"), JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingDefault)]
    public bool IncludeQuarantined { get; init; }

    /// <summary>Letters in one plan.</summary>
    public const int Most = 100_000;

    /// <summary>Ids in one request.</summary>
    public const int MostIds = 10_000;
}

/// <summary><c>operations.request</c> of <see cref="PreviewReplay"/>.</summary>
public sealed record PreviewRequest
{
    /// <summary>How many letters are looked at, spread over the plan: 1 to 200.</summary>
    [JsonPropertyName("sample")]
    public int Sample { get; init; } = 50;
}

/// <summary><c>operations.request</c> of <see cref="StartReplay"/>.</summary>
public sealed record StartRequest
{
    /// <summary>Messages a second, above 0 and up to 10 000; 0 is as fast as it goes.</summary>
    [JsonPropertyName("rate_per_second")]
    public double RatePerSecond { get; init; } = 50;

    /// <summary>How many are sent first, and waited for; 0 is none. No more than the plan has.</summary>
    [JsonPropertyName("canary")]
    public int Canary { get; init; } = 5;

    /// <summary>It stops when more of those that were handled failed again: 0 to 1. 1 never stops it.</summary>
    [JsonPropertyName("stop_on_failure_ratio")]
    public double StopOnFailureRatio { get; init; } = 0.1;
}

/// <summary><c>operations.request</c> of <see cref="DiscardDeadLetters"/> and <see cref="RestoreDeadLetters"/>: a filter or ids, not both.</summary>
public sealed record SelectionRequest
{
    /// <summary>The letters that it finds when it is done, at most <see cref="PlanRequest.Most"/>.</summary>
    [JsonPropertyName("filter"), JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public DeadLetterFilter? Filter { get; init; }

    /// <summary>These letters, at most 10 000.</summary>
    [JsonPropertyName("ids"), JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public IReadOnlyList<Guid>? Ids { get; init; }

    /// <summary>Why: 1 to 500 characters, no personal data.</summary>
    [JsonPropertyName("reason")]
    public required string Reason { get; init; }
}

/// <summary><c>operations.request</c> of <see cref="EditDeadLetter"/>. Refused unless PULSE_REPLAY_EDIT=true.</summary>
public sealed record EditRequest
{
    /// <summary>The letter.</summary>
    [JsonPropertyName("dead_letter_id")]
    public required Guid DeadLetterId { get; init; }

    /// <summary>The message as it shall be: JSON, the whole <c>message</c> part of the envelope. The envelope's other parts stay.</summary>
    [JsonPropertyName("message")]
    public required System.Text.Json.JsonElement Message { get; init; }

    /// <summary>Why: 1 to 500 characters, no personal data.</summary>
    [JsonPropertyName("reason")]
    public required string Reason { get; init; }
}
