using System.Diagnostics;

namespace Pulse.Testing;

/// <summary>Waits for what happens elsewhere. The only place in the tests that sleeps.</summary>
public static class Eventually
{
    /// <summary>Asks until it is so.</summary>
    /// <param name="condition">Whether it is so; an exception ends the waiting.</param>
    /// <param name="deadline">When to give up, from now.</param>
    /// <param name="what">The sentence that tells what did not happen.</param>
    /// <exception cref="TimeoutException">It was not so in time.</exception>
    public static async Task Until(Func<Task<bool>> condition, TimeSpan deadline, string what)
    {
        var since = Stopwatch.GetTimestamp();
        var pause = TimeSpan.FromMilliseconds(5);
        while (!await condition())
        {
            if (Stopwatch.GetElapsedTime(since) > deadline)
                throw new TimeoutException($"Not within {deadline.TotalSeconds} s: {what}");

            await Task.Delay(pause);
            pause = TimeSpan.FromMilliseconds(Math.Min(pause.TotalMilliseconds * 1.5, 100));
        }
    }

    /// <summary>Asks until it is so.</summary>
    public static Task Until(Func<bool> condition, TimeSpan deadline, string what) =>
        Until(() => Task.FromResult(condition()), deadline, what);
}
