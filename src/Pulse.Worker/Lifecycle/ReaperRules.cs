using Pulse.Hosting;

namespace Pulse.Worker.Lifecycle;

/// <summary>Whether a purge may begin, apart from what the organization itself says.</summary>
enum Leave
{
    Granted,

    /// <summary>So many began just now that this one comes with a later sweep.</summary>
    Later,

    /// <summary>More than may go without an operator's word.</summary>
    Stopped,
}

/// <summary>The reaper's decisions, without I/O.</summary>
static class ReaperRules
{
    /// <summary>How many may begin within one sweep's time: the number, or the share of all where that is less, and at least one.</summary>
    public static int Limit(long organizations, int most, double share) =>
        (int)Math.Clamp(Math.Floor(organizations * share), 1, most);

    /// <summary>The blast radius: whoever wants to begin a purge asks, timer or sweep.</summary>
    /// <param name="due">How many are due and not confirmed, the one that is asked about included.</param>
    /// <param name="begun">How many began unconfirmed within the last sweep's time.</param>
    /// <param name="limit">As <see cref="Limit"/> says.</param>
    public static Leave Judge(long due, long begun, int limit) =>
        due > limit ? Leave.Stopped : due + begun > limit ? Leave.Later : Leave.Granted;

    /// <summary>Whether the clock is the database's, but for what it was moved on purpose.</summary>
    public static bool IsRight(DateTimeOffset now, TimeProvider clock, DateTimeOffset database, TimeSpan tolerance) =>
        (now - DevelopmentClock.OffsetOf(clock) - database).Duration() <= tolerance;

    /// <summary>What a retention is counted from. With a clock that is behind it would end early: then it is the database's time.</summary>
    public static DateTimeOffset RetentionFrom(DateTimeOffset now, TimeProvider clock, DateTimeOffset database, TimeSpan tolerance) =>
        IsRight(now, clock, database, tolerance) || database + DevelopmentClock.OffsetOf(clock) < now ? now : (database + DevelopmentClock.OffsetOf(clock)).Whole();

    /// <summary>How long a purge that can't go on waits before the next try.</summary>
    public static TimeSpan Backoff(int attempts)
    {
        var wait = TimeSpan.FromSeconds(5 * Math.Pow(2, Math.Clamp(attempts, 0, 12)));
        return wait < TimeSpan.FromHours(1) ? wait : TimeSpan.FromHours(1);
    }

    /// <summary>How long a purge whose look was not its turn waits: spread, so that those it was for don't all come back at once.</summary>
    /// <param name="chance">0 to 1.</param>
    public static TimeSpan NextLook(double chance) => TimeSpan.FromSeconds(1 + (2 * chance));

    /// <summary>No more than JSON and Postgres keep alike.</summary>
    public static DateTimeOffset Whole(this DateTimeOffset time) => time.AddTicks(-(time.Ticks % TimeSpan.TicksPerMicrosecond));
}
