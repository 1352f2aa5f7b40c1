using Pulse.Hosting;

namespace Pulse.Testing;

/// <summary>Stands still until it is moved.</summary>
public sealed class TestClock : DevelopmentClock
{
    // Whole seconds: Postgres keeps microseconds, and a comparison is not to fail over what it cut off.
    long _ticks = DateTimeOffset.UtcNow.Ticks / TimeSpan.TicksPerSecond * TimeSpan.TicksPerSecond;

    /// <summary>By how much it is wrong, and nobody knows: a test about wrong clocks sets it.</summary>
    public TimeSpan Wrong { get; set; }

    /// <inheritdoc />
    public override DateTimeOffset GetUtcNow() => new DateTimeOffset(Interlocked.Read(ref _ticks), TimeSpan.Zero) + Wrong;

    /// <inheritdoc />
    public override TimeSpan Offset => GetUtcNow() - Wrong - DateTimeOffset.UtcNow;

    /// <summary>Moves it.</summary>
    public void Advance(TimeSpan by) => Interlocked.Add(ref _ticks, by.Ticks);
}
