using System.Text.Json.Serialization;

namespace Pulse.Contracts.DeadLetters;

/// <summary>A replay: <c>operations.result</c> of the commands on one.</summary>
/// <remarks>How far it is now is in <c>pulse.replays_v1</c>. Add to these records, change nothing.</remarks>
public sealed record ReplayState
{
    /// <summary>Its id.</summary>
    [JsonPropertyName("replay_id")]
    public required Guid ReplayId { get; init; }

    /// <summary>One of <see cref="ReplayStatus"/>.</summary>
    [JsonPropertyName("status")]
    public required string Status { get; init; }

    /// <summary>Letters that it would send, or sends.</summary>
    [JsonPropertyName("letters")]
    public required int Letters { get; init; }

    /// <summary>When the plan ends by itself unless it is started, UTC.</summary>
    [JsonPropertyName("expires_at")]
    public required DateTimeOffset ExpiresAt { get; init; }

    /// <summary>What was planned.</summary>
    [JsonPropertyName("plan")]
    public required ReplayPlan Plan { get; init; }
}

/// <summary>What a plan says: <c>replays.plan</c>.</summary>
public sealed record ReplayPlan
{
    /// <summary>Letters that the request named or found, those that are excluded among them.</summary>
    [JsonPropertyName("found")]
    public required int Found { get; init; }

    /// <summary>More were found than one plan takes: it has those that failed last.</summary>
    [JsonPropertyName("capped")]
    public required bool Capped { get; init; }

    /// <summary>Letters of the plan by queue, message type and exception type, the most frequent first; at most 50.</summary>
    [JsonPropertyName("groups")]
    public required IReadOnlyList<PlannedGroup> Groups { get; init; }

    /// <summary>Ids of up to 10 letters of the plan.</summary>
    [JsonPropertyName("samples")]
    public required IReadOnlyList<Guid> Samples { get; init; }

    /// <summary>What is not in the plan, and why.</summary>
    [JsonPropertyName("excluded")]
    public required IReadOnlyList<Exclusion> Excluded { get; init; }
}

/// <summary>Letters of a plan that have these in common.</summary>
public sealed record PlannedGroup
{
    /// <summary>The group.</summary>
    [JsonPropertyName("fingerprint")]
    public required string Fingerprint { get; init; }

    /// <summary>Where they go.</summary>
    [JsonPropertyName("queue")]
    public required string Queue { get; init; }

    /// <summary>Null when it is not known.</summary>
    [JsonPropertyName("message_type")]
    public string? MessageType { get; init; }

    /// <summary>Null when there was none.</summary>
    [JsonPropertyName("exception_type")]
    public string? ExceptionType { get; init; }

    /// <summary>How many.</summary>
    [JsonPropertyName("letters")]
    public required int Letters { get; init; }
}

/// <summary>Letters that a plan, or a command, leaves out.</summary>
public sealed record Exclusion
{
    /// <summary>
    /// quarantined, discarded, resolved, in_active_replay, body_cut, gone (no such letter, or no longer), edited (its edited copy stands in for it), or
    /// not_discarded (restore: neither discarded nor quarantined).
    /// </summary>
    [JsonPropertyName("why")]
    public required string Why { get; init; }

    /// <summary>How many.</summary>
    [JsonPropertyName("letters")]
    public required int Letters { get; init; }

    /// <summary>Up to 10 of their ids.</summary>
    [JsonPropertyName("samples")]
    public required IReadOnlyList<Guid> Samples { get; init; }
}

/// <summary>What a replay would do: <c>operations.result</c> of <see cref="PreviewReplay"/>, and <c>replays.preview</c>.</summary>
public sealed record PreviewResult
{
    /// <summary>The replay.</summary>
    [JsonPropertyName("replay_id")]
    public required Guid ReplayId { get; init; }

    /// <summary>When it was looked at, UTC.</summary>
    [JsonPropertyName("at")]
    public required DateTimeOffset At { get; init; }

    /// <summary>Letters of the plan.</summary>
    [JsonPropertyName("letters")]
    public required int Letters { get; init; }

    /// <summary>How many of them were looked at.</summary>
    [JsonPropertyName("looked_at")]
    public required int LookedAt { get; init; }

    /// <summary>Would create something: rows, beyond notes that it is done.</summary>
    [JsonPropertyName("would_create")]
    public required int WouldCreate { get; init; }

    /// <summary>Would create nothing, but change or delete rows, or publish.</summary>
    [JsonPropertyName("would_change")]
    public required int WouldChange { get; init; }

    /// <summary>Would change nothing; those that were done before are among them.</summary>
    [JsonPropertyName("would_change_nothing")]
    public required int WouldChangeNothing { get; init; }

    /// <summary>Would still fail.</summary>
    [JsonPropertyName("would_fail")]
    public required int WouldFail { get; init; }

    /// <summary>Can't be told: it needs an external call, is no message of this build, or took too long.</summary>
    [JsonPropertyName("cannot_tell")]
    public required int CannotTell { get; init; }

    /// <summary>In one sentence.</summary>
    [JsonPropertyName("summary")]
    public required string Summary { get; init; }

    /// <summary>Each letter that was looked at.</summary>
    [JsonPropertyName("outcomes")]
    public required IReadOnlyList<PreviewOutcome> Outcomes { get; init; }
}

/// <summary>What one letter would do.</summary>
public sealed record PreviewOutcome
{
    /// <summary>The letter.</summary>
    [JsonPropertyName("dead_letter_id")]
    public required Guid DeadLetterId { get; init; }

    /// <summary>would_create, would_change, would_change_nothing, would_fail or cannot_tell.</summary>
    [JsonPropertyName("outcome")]
    public required string Outcome { get; init; }

    /// <summary>
    /// already_done (its inbox row is there); or why it can't be told: external_call, not_a_message, timed_out, busy (somebody holds a row that it
    /// needs).
    /// </summary>
    [JsonPropertyName("why"), JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public string? Why { get; init; }

    /// <summary>The exception's type, of one that would fail. What it said may quote the payload, and a result is not masked.</summary>
    [JsonPropertyName("exception_type"), JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public string? ExceptionType { get; init; }

    /// <summary>Rows by table, such as <c>{"pulse.organizations":1}</c>.</summary>
    [JsonPropertyName("inserted"), JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public IReadOnlyDictionary<string, long>? Inserted { get; init; }

    /// <summary>Rows by table.</summary>
    [JsonPropertyName("updated"), JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public IReadOnlyDictionary<string, long>? Updated { get; init; }

    /// <summary>Rows by table.</summary>
    [JsonPropertyName("deleted"), JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public IReadOnlyDictionary<string, long>? Deleted { get; init; }

    /// <summary>Messages by type; timers are among them.</summary>
    [JsonPropertyName("published"), JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public IReadOnlyDictionary<string, long>? Published { get; init; }
}

/// <summary><c>operations.result</c> of <see cref="DiscardDeadLetters"/> and <see cref="RestoreDeadLetters"/>.</summary>
public sealed record SelectionResult
{
    /// <summary>How many were discarded, or restored.</summary>
    [JsonPropertyName("letters")]
    public required int Letters { get; init; }

    /// <summary>More were found than one command takes: ask again for the others.</summary>
    [JsonPropertyName("capped")]
    public required bool Capped { get; init; }

    /// <summary>What was left as it is, and why.</summary>
    [JsonPropertyName("excluded")]
    public required IReadOnlyList<Exclusion> Excluded { get; init; }
}

/// <summary><c>operations.result</c> of <see cref="EditDeadLetter"/>.</summary>
public sealed record EditResult
{
    /// <summary>The edited copy: a parked dead letter, to be planned, previewed and replayed like any other.</summary>
    [JsonPropertyName("dead_letter_id")]
    public required Guid DeadLetterId { get; init; }

    /// <summary>Its new message id.</summary>
    [JsonPropertyName("message_id")]
    public required Guid MessageId { get; init; }

    /// <summary>The letter that it was made of: discarded now.</summary>
    [JsonPropertyName("edited_from")]
    public required Guid EditedFrom { get; init; }

    /// <summary>JSON pointers of what differs. The values are in <c>dead_letter_payloads_v1.edit</c>.</summary>
    [JsonPropertyName("changed")]
    public required IReadOnlyList<string> Changed { get; init; }
}

/// <summary><c>operations.result</c> of <see cref="RevealDeadLetter"/>: from now on ingress may show it, to who asked, once.</summary>
public sealed record RevealResult
{
    /// <summary>The letter.</summary>
    [JsonPropertyName("dead_letter_id")]
    public required Guid DeadLetterId { get; init; }

    /// <summary>When it was written to the audit log, UTC.</summary>
    [JsonPropertyName("audited_at")]
    public required DateTimeOffset AuditedAt { get; init; }
}
