using System.Collections.Concurrent;
using System.Diagnostics;

namespace Pulse.StripeDouble.Api;

/// <summary>Counts what the API is asked for, by method and route: <c>GET /v1/subscriptions</c>.</summary>
public sealed class Requests
{
    readonly ConcurrentDictionary<string, Counter> _counters = new();

    /// <summary>How many requests there were of each route, refused ones too.</summary>
    public IReadOnlyDictionary<string, int> Counts => _counters.ToDictionary(pair => pair.Key, pair => pair.Value.Count);

    /// <summary>The most requests of each route within any one second.</summary>
    public IReadOnlyDictionary<string, int> Peaks => _counters.ToDictionary(pair => pair.Key, pair => pair.Value.Peak);

    /// <summary>All there were.</summary>
    public int Total => _counters.Values.Sum(counter => counter.Count);

    /// <summary>Counts from nothing again.</summary>
    public void Reset() => _counters.Clear();

    /// <returns>How many there were of the route within the last second, this one included.</returns>
    internal int Note(string route) => _counters.GetOrAdd(route, _ => new Counter()).Note();

    sealed class Counter
    {
        readonly Queue<long> _lastSecond = new();

        public int Count { get; private set; }
        public int Peak { get; private set; }

        public int Note()
        {
            lock (_lastSecond)
            {
                var now = Stopwatch.GetTimestamp();
                while (_lastSecond.TryPeek(out var oldest) && now - oldest >= Stopwatch.Frequency)
                    _lastSecond.Dequeue();
                _lastSecond.Enqueue(now);
                Count++;
                Peak = Math.Max(Peak, _lastSecond.Count);
                return _lastSecond.Count;
            }
        }
    }
}
