namespace Pulse.Hosting;

/// <summary>A clock that was moved on purpose, and knows by how much.</summary>
public abstract class DevelopmentClock : TimeProvider
{
    /// <summary>How far it was moved ahead of the real time. What is wrong with the real time is not in it.</summary>
    public abstract TimeSpan Offset { get; }

    /// <summary>How far a clock was moved on purpose; zero for every other one.</summary>
    /// <param name="clock">Any clock.</param>
    public static TimeSpan OffsetOf(TimeProvider clock) => clock is DevelopmentClock moved ? moved.Offset : TimeSpan.Zero;
}
