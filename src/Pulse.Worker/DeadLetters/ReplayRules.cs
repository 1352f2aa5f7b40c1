using Pulse.Contracts.DeadLetters;

namespace Pulse.Worker.DeadLetters;

/// <summary>A replay under its lock, and how far its letters are.</summary>
sealed record Replay
{
    public required Guid ReplayId { get; init; }
    public required string Status { get; init; }
    public double RatePerSecond { get; init; }
    public int Canary { get; init; }
    public double StopOnFailureRatio { get; init; } = 1;
    public DateTimeOffset ExpiresAt { get; init; }
    public DateTimeOffset? CanaryUntil { get; init; }
    public DateTimeOffset? NextDueAt { get; init; }

    public long Planned { get; init; }
    public long Queued { get; init; }
    public long Sent { get; init; }
    public long Resolved { get; init; }
    public long FailedAgain { get; init; }
    public long Unanswered { get; init; }

    public long UnderWay => Queued + Sent;
    public long Failed => FailedAgain + Unanswered;
    public long Handled => Resolved + Failed;
}

/// <summary>What a replay does next.</summary>
abstract record ReplayStep
{
    /// <summary>Nothing now.</summary>
    public sealed record Wait : ReplayStep;

    /// <summary>Up to so many more letters go out, the first of them then.</summary>
    public sealed record Send(int Letters, DateTimeOffset DueAt) : ReplayStep;

    /// <summary>The canary is through.</summary>
    public sealed record Go : ReplayStep;

    /// <summary>It ends, and this is its status: completed, stopped with a reason, or expired.</summary>
    public sealed record End(string Status, string? Reason = null) : ReplayStep;
}

/// <summary>Decides what a replay does next. Pure.</summary>
static class ReplayRules
{
    /// <summary>A plan is as old at most when it is started: what it says should still be so.</summary>
    public static readonly TimeSpan PlanLasts = TimeSpan.FromHours(1);

    /// <summary>Longer than a message's delayed redeliveries take together.</summary>
    public static readonly TimeSpan CanaryLasts = TimeSpan.FromMinutes(15);

    /// <summary>After so long nobody waits for a message's end any more: its letter is free again. The message may still come to its end.</summary>
    public static readonly TimeSpan AnswerWithin = TimeSpan.FromHours(1);

    /// <summary>Letters that are claimed at once.</summary>
    public const int Batch = 500;

    /// <summary>Without a rate, letters on their way at once: what a stop can't take back any more.</summary>
    public const int MostUnderWay = 2000;

    /// <summary>How far ahead of its time a letter is written to the outbox.</summary>
    public static readonly TimeSpan Ahead = TimeSpan.FromSeconds(2);

    /// <summary>With fewer handled than this, one failure more or less would be a large part.</summary>
    const int Representative = 10;

    public static ReplayStep Next(Replay replay, DateTimeOffset now) => replay.Status switch
    {
        ReplayStatus.Planned => now >= replay.ExpiresAt ? new ReplayStep.End(ReplayStatus.Expired) : new ReplayStep.Wait(),
        ReplayStatus.Canary => Canary(replay, now),
        ReplayStatus.Running => Run(replay, now),
        _ => new ReplayStep.Wait(),
    };

    static ReplayStep Canary(Replay replay, DateTimeOffset now)
    {
        var missing = replay.Canary - replay.UnderWay - replay.Handled;
        if (missing > 0 && replay.Planned > 0)
            return Send(replay, missing, now);
        if (replay.UnderWay > 0)
            return now >= replay.CanaryUntil ? new ReplayStep.End(ReplayStatus.Stopped, "canary_unanswered") : new ReplayStep.Wait();
        if (replay.Failed > replay.StopOnFailureRatio * replay.Handled)
            return new ReplayStep.End(ReplayStatus.Stopped, "canary_failed");

        return replay.Planned > 0 ? new ReplayStep.Go() : new ReplayStep.End(ReplayStatus.Completed);
    }

    static ReplayStep Run(Replay replay, DateTimeOffset now)
    {
        if (replay.StopOnFailureRatio < 1 && replay.Planned + replay.Queued > 0
            && replay.Failed > replay.StopOnFailureRatio * Math.Max(replay.Handled, Representative))
            return new ReplayStep.End(ReplayStatus.Stopped, "failure_ratio");
        if (replay.Planned > 0)
            return Send(replay, replay.Planned, now);

        return replay.UnderWay > 0 ? new ReplayStep.Wait() : new ReplayStep.End(ReplayStatus.Completed);
    }

    static ReplayStep Send(Replay replay, long wanted, DateTimeOffset now)
    {
        var due = replay.NextDueAt > now ? replay.NextDueAt.Value : now;
        var room = replay.RatePerSecond > 0
            ? Math.Floor((now + Ahead - due).TotalSeconds * replay.RatePerSecond) + 1
            : MostUnderWay - replay.UnderWay;
        var letters = (int)Math.Min(Math.Min(wanted, Batch), room);
        return letters > 0 && due <= now + Ahead ? new ReplayStep.Send(letters, due) : new ReplayStep.Wait();
    }

    /// <summary>The time between two letters.</summary>
    public static TimeSpan Interval(double ratePerSecond) => ratePerSecond > 0 ? TimeSpan.FromSeconds(1 / ratePerSecond) : TimeSpan.Zero;
}
