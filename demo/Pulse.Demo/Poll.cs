using System.Diagnostics;

namespace Pulse.Demo;

static class Poll
{
    /// <summary>Looks again until there is something, or fails with what was waited for.</summary>
    public static async Task<T> Until<T>(string what, TimeSpan deadline, Func<Task<T?>> look) where T : class
    {
        var waited = Stopwatch.StartNew();
        while (true)
        {
            if (await look() is { } seen)
                return seen;

            if (waited.Elapsed > deadline)
                throw new DoesNotHoldException($"{what}: not within {deadline.TotalSeconds:0} s");

            await Task.Delay(TimeSpan.FromMilliseconds(50));
        }
    }
}
