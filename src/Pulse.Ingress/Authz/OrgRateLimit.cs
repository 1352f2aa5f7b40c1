using System.Collections.Concurrent;
using System.Diagnostics.CodeAnalysis;

namespace Pulse.Ingress.Authz;

/// <summary>
/// How often an organization may ask, in the memory of this process: each replica counts for itself, so all of them together let up to
/// their number times as much through. Approximate by design: a limit that held across replicas would cost a round trip for each request.
/// </summary>
/// <remarks>
/// The generic cell rate algorithm: one number for each organization, the time at which it would be as if it had never asked. As many as
/// are allowed in a minute may come at once, and from then on one each sixtieth second of that many. No timer, no lock.
/// </remarks>
sealed class OrgRateLimit(int perMinute, int most = 100_000)
{
    const long Period = TimeSpan.TicksPerMinute;

    readonly ConcurrentDictionary<Guid, Cell> _cells = new();
    readonly long _each = Period / perMinute;
    int _count;
    long _sweptAt;

    public int PerMinute => perMinute;

    /// <summary>Organizations in memory, never more than the bound.</summary>
    public int Count => Volatile.Read(ref _count);

    /// <summary>Counts a request.</summary>
    /// <param name="orgId">Of an organization that there is: made-up ids must not come here.</param>
    /// <param name="now">UTC ticks.</param>
    /// <param name="wait">When the next one is allowed, if this one is not.</param>
    public bool TryTake(Guid orgId, long now, out TimeSpan wait)
    {
        wait = default;
        if (!_cells.TryGetValue(orgId, out var cell) && !TryAdd(orgId, now, out cell))
            return true;

        var idleAt = Volatile.Read(ref cell.IdleAt);
        while (true)
        {
            // Before now: it has not asked for a while. More than a minute ahead: the clock was put back.
            var next = Math.Clamp(idleAt, now, now + Period) + _each;
            if (next > now + Period)
            {
                wait = TimeSpan.FromTicks(next - now - Period);
                return false;
            }

            var seen = Interlocked.CompareExchange(ref cell.IdleAt, next, idleAt);
            if (seen == idleAt)
                return true;
            idleAt = seen;
        }
    }

    // False: there are as many as are kept, and each has asked within the minute. Who comes then is not counted, rather than refused.
    bool TryAdd(Guid orgId, long now, [NotNullWhen(true)] out Cell? cell)
    {
        cell = null;
        if (Count >= most && !Sweep(now))
            return false;

        cell = new Cell();
        if (_cells.TryAdd(orgId, cell))
            Interlocked.Increment(ref _count);
        else if (!_cells.TryGetValue(orgId, out cell))
            return false;

        return true;
    }

    // Who is idle is as if it had never asked. At most once a second, whoever comes.
    bool Sweep(long now)
    {
        var sweptAt = Interlocked.Read(ref _sweptAt);
        if (Math.Abs(now - sweptAt) < TimeSpan.TicksPerSecond || Interlocked.CompareExchange(ref _sweptAt, now, sweptAt) != sweptAt)
            return false;

        foreach (var (orgId, cell) in _cells)
        {
            var idleAt = Volatile.Read(ref cell.IdleAt);
            if ((idleAt <= now || idleAt > now + Period + _each) && _cells.TryRemove(orgId, out _))
                Interlocked.Decrement(ref _count);
        }

        return Count < most;
    }

    sealed class Cell
    {
        public long IdleAt;
    }
}
