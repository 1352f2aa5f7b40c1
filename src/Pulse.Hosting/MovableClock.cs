using System.Globalization;

namespace Pulse.Hosting;

/// <summary>
/// The system's clock moved by an offset that is kept in a file, so that every process of a development machine moves together.
/// </summary>
/// <remarks>
/// Only what reads the time is moved; timers and delays run at their real pace. The file holds one number of seconds,
/// and is looked at again at most every 100 ms.
/// </remarks>
public sealed class MovableClock(string file) : DevelopmentClock
{
    readonly Lock _lock = new();
    TimeSpan _offset;
    long _readAt = long.MinValue;

    /// <inheritdoc />
    public override DateTimeOffset GetUtcNow() => base.GetUtcNow() + Ahead();

    /// <inheritdoc />
    public override TimeSpan Offset => Ahead();

    TimeSpan Ahead()
    {
        lock (_lock)
        {
            if (_readAt != long.MinValue && GetElapsedTime(_readAt) < TimeSpan.FromMilliseconds(100))
                return _offset;

            _readAt = GetTimestamp();
            try
            {
                if (!File.Exists(file))
                    _offset = TimeSpan.Zero;
                else if (double.TryParse(File.ReadAllText(file), NumberStyles.Float, CultureInfo.InvariantCulture, out var seconds))
                    _offset = TimeSpan.FromSeconds(seconds);
            }
            catch (IOException)
            {
                // Being written: the next look reads it.
            }

            return _offset;
        }
    }
}
