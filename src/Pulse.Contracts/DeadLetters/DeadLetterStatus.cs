namespace Pulse.Contracts.DeadLetters;

/// <summary>Where a dead letter stands: <c>dead_letters.status</c>.</summary>
public static class DeadLetterStatus
{
    /// <summary>It failed, and nothing was done about it yet.</summary>
    public const string Parked = "parked";

    /// <summary>A replay wrote it to the outbox.</summary>
    public const string Queued = "queued";

    /// <summary>It is with the broker again, and not handled yet.</summary>
    public const string Replayed = "replayed";

    /// <summary>Its consumer is done with it.</summary>
    public const string Resolved = "resolved";

    /// <summary>The replay failed.</summary>
    public const string FailedAgain = "failed_again";

    /// <summary>Three replays failed: no filter sends it any more, only its id with include_quarantined.</summary>
    public const string Quarantined = "quarantined";

    /// <summary>An operator gave it up.</summary>
    public const string Discarded = "discarded";

    /// <summary>All of them.</summary>
    public static IReadOnlyList<string> All { get; } = [Parked, Queued, Replayed, Resolved, FailedAgain, Quarantined, Discarded];
}

/// <summary>Where a replay stands: <c>replays.status</c>.</summary>
public static class ReplayStatus
{
    /// <summary>Frozen, and nothing has moved. Ends by itself as <see cref="Expired"/>, an hour after it was planned.</summary>
    public const string Planned = "planned";

    /// <summary>The first letters are on their way, and the others wait for their end.</summary>
    public const string Canary = "canary";

    /// <summary>The others are on their way.</summary>
    public const string Running = "running";

    /// <summary>An operator paused it. Its letters stay its own.</summary>
    public const string Paused = "paused";

    /// <summary>It stopped by itself: stop_reason says why. What was not sent is free again.</summary>
    public const string Stopped = "stopped";

    /// <summary>An operator ended it. What was not sent is free again.</summary>
    public const string Cancelled = "cancelled";

    /// <summary>Every letter is handled.</summary>
    public const string Completed = "completed";

    /// <summary>It was never started.</summary>
    public const string Expired = "expired";

    /// <summary>All of them.</summary>
    public static IReadOnlyList<string> All { get; } = [Planned, Canary, Running, Paused, Stopped, Cancelled, Completed, Expired];
}
