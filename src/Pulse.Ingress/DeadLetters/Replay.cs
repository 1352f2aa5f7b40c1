using System.Text.Json.Serialization;
using Pulse.Contracts.DeadLetters;

namespace Pulse.Ingress.DeadLetters;

/// <summary>A replay, and how far it is.</summary>
sealed record Replay
{
    public required Guid ReplayId { get; init; }

    /// <summary>planned, canary, running, paused, stopped, cancelled, completed or expired.</summary>
    public required string Status { get; init; }

    /// <summary>Why it stopped by itself: failure_ratio, canary_failed or canary_unanswered.</summary>
    public string? StopReason { get; init; }

    /// <summary>How it was asked for.</summary>
    public required PlanRequest Request { get; init; }
    public required ReplayPlan Plan { get; init; }

    /// <summary>What the last preview said, masked.</summary>
    public PreviewResult? Preview { get; init; }
    public required string PlannedBy { get; init; }
    public required DateTime PlannedAt { get; init; }

    /// <summary>When the plan ends by itself unless it is started.</summary>
    public required DateTime ExpiresAt { get; init; }
    public double? RatePerSecond { get; init; }
    public int? Canary { get; init; }
    public double? StopOnFailureRatio { get; init; }
    public string? StartedBy { get; init; }
    public DateTime? StartedAt { get; init; }
    public DateTime? EndedAt { get; init; }
    public required ReplayProgress Progress { get; init; }

    /// <summary>Of those that failed again, got no answer or were excluded: the first.</summary>
    public IReadOnlyList<ReplayItem>? Troubled { get; init; }

    internal bool Moves => Status is ReplayStatus.Canary or ReplayStatus.Running;
}

/// <summary>A replay's letters by where they stand.</summary>
sealed record ReplayProgress
{
    /// <summary>All that were planned.</summary>
    public required long Letters { get; init; }
    public required long Planned { get; init; }

    /// <summary>On their way to the broker.</summary>
    public required long Queued { get; init; }

    /// <summary>With the broker, and not handled yet.</summary>
    public required long Sent { get; init; }
    public required long Resolved { get; init; }
    public required long FailedAgain { get; init; }
    public required long Unanswered { get; init; }
    public required long Excluded { get; init; }
    public required long Cancelled { get; init; }

    /// <summary>Those whose end is known.</summary>
    [JsonIgnore]
    public long Done => Resolved + FailedAgain + Unanswered + Excluded + Cancelled;

    [JsonIgnore]
    public int Percent => Letters == 0 ? 100 : (int)(Done * 100 / Letters);
}

/// <summary>A letter of a replay.</summary>
sealed record ReplayItem(Guid DeadLetterId, string State, int? Attempt, DateTime? SentAt, DateTime? HandledAt);
