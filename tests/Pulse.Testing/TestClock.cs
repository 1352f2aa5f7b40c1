namespace Pulse.Testing;

/// <summary>Stands still until it is moved.</summary>
public sealed class TestClock : TimeProvider
{
    // Whole seconds: Postgres keeps microseconds, and a comparison is not to fail over what it cut off.
    long _ticks = DateTimeOffset.UtcNow.Ticks / TimeSpan.TicksPerSecond * TimeSpan.TicksPerSecond;

    /// <inheritdoc />
    public override DateTimeOffset GetUtcNow() => new(Interlocked.Read(ref _ticks), TimeSpan.Zero);

    /// <summary>Moves it.</summary>
    public void Advance(TimeSpan by) => Interlocked.Add(ref _ticks, by.Ticks);
}
