using System.Text.Json;
using Microsoft.Extensions.Logging;
using Npgsql;

namespace Pulse.Entitlements;

/// <summary>
/// Reads entries from Postgres: one read of an organization at a time, however many ask, and those that wait at the same time in one query.
/// </summary>
/// <remarks>
/// While one query is at the server the next gathers, so a lone read begins at once and a thousand are two or three queries. A store that
/// failed is tried again every <see cref="EntitlementOptions.Retry"/> by one query, and nobody waits for it meanwhile.
/// </remarks>
sealed partial class EntitlementStore(NpgsqlDataSource dataSource, EntitlementOptions options, TimeProvider clock, ILogger log) : IDisposable
{
    const int QueryMost = 512;

    /// <summary>Queries that did not come back in time and may still be under way. Above that no other is begun.</summary>
    const int LostMost = 4;

    /// <summary>Between two reads of an entry that the first of them did not make fresh, such as from a replica that is behind.</summary>
    static readonly TimeSpan Again = TimeSpan.FromMilliseconds(100);

    /// <summary>After a query that found none of what it asked for. Bounds what ids that don't exist cost the store: a hundred queries a second.</summary>
    static readonly TimeSpan Guesses = TimeSpan.FromMilliseconds(10);

    readonly TimelineJson _json = new();
    readonly Lock _lock = new();
    readonly Queue<Entry> _waiting = new();
    readonly CancellationTokenSource _stop = new();
    bool _running;
    int _lost;
    int _generation;
    long _queries;
    int _down;
    long _probeAt;

    /// <summary>Grows with each new connection to the announcements.</summary>
    public int Generation => Volatile.Read(ref _generation);

    /// <summary>Queries begun.</summary>
    public long Queries => Interlocked.Read(ref _queries);

    /// <summary>The last that was heard of the store is that it can't be reached.</summary>
    public bool IsDown => Volatile.Read(ref _down) != 0;

    /// <summary>The announcements are heard again from now on. What was read before may be old.</summary>
    public void Listening()
    {
        Interlocked.Increment(ref _generation);
        Up();
    }

    /// <summary>Has an entry read, and nobody waits for it. While the store is down only as often as it is worth to try.</summary>
    public void Refresh(Entry entry)
    {
        var now = clock.GetTimestamp();
        if (now < entry.RetryAt || (IsDown && !MayProbe(now)))
            return;

        _ = Enqueue(entry);
    }

    /// <summary>The entry's read that is under way or begins now.</summary>
    /// <returns>False when the store could not tell.</returns>
    public Task<bool> ReadAsync(Entry entry) => Enqueue(entry);

    bool MayProbe(long now)
    {
        var probeAt = Interlocked.Read(ref _probeAt);
        return now >= probeAt && Interlocked.CompareExchange(ref _probeAt, now + Ticks(options.Retry), probeAt) == probeAt;
    }

    Task<bool> Enqueue(Entry entry)
    {
        TaskCompletionSource<bool> pending;
        lock (entry)
        {
            if (entry.Pending is { } underWay)
                return underWay.Task;
            pending = entry.Pending = new TaskCompletionSource<bool>(TaskCreationOptions.RunContinuationsAsynchronously);
        }

        lock (_lock)
        {
            _waiting.Enqueue(entry);
            if (_running)
                return pending.Task;
            _running = true;
        }

        // Not on the caller's stack: who only starts a read does not pay for its beginning.
        _ = Task.Run(RunAsync);
        return pending.Task;
    }

    async Task RunAsync()
    {
        while (Next() is { Count: > 0 } group)
        {
            await ReadAsync(group).ConfigureAwait(false);
            // Ids that somebody made up: they are gathered, and cost no query each.
            if (!group.Exists(entry => entry.Known is not { Exists: false }))
                await Task.Delay(Guesses, clock, _stop.Token).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
    }

    List<Entry> Next()
    {
        var group = new List<Entry>();
        lock (_lock)
        {
            while (group.Count < QueryMost && _waiting.TryDequeue(out var entry))
                group.Add(entry);
            _running = group.Count > 0;
        }

        return group;
    }

    async Task ReadAsync(List<Entry> group)
    {
        var announced = group.ConvertAll(entry => entry.Announced);
        var readAt = clock.GetUtcNow().UtcTicks;
        var told = false;
        try
        {
            if (Volatile.Read(ref _lost) >= LostMost)
                throw new TimeoutException("Earlier queries have not come back yet.");

            var query = QueryAsync(group, readAt);
            try
            {
                // The deadline is kept here: a server that is frozen does not hear that a query is cancelled.
                await query.WaitAsync(options.Timeout, clock, _stop.Token).ConfigureAwait(false);
            }
            catch (TimeoutException) when (!query.IsCompleted)
            {
                Interlocked.Increment(ref _lost);
                _ = query.ContinueWith(late => { _ = late.Exception; Interlocked.Decrement(ref _lost); }, TaskScheduler.Default);
                throw;
            }

            told = true;
            Up();
        }
        catch (Exception exception)
        {
            Down(exception);
        }

        for (var i = 0; i < group.Count; i++)
            Finish(group[i], announced[i], readAt, told);
    }

    async Task QueryAsync(List<Entry> group, long readAt)
    {
        Interlocked.Increment(ref _queries);
        var generation = Generation;
        var missing = group.ToDictionary(entry => entry.OrgId);
        using var patience = CancellationTokenSource.CreateLinkedTokenSource(_stop.Token);
        // Beyond the deadline, so that what comes a little late is still of use.
        patience.CancelAfter(options.Timeout * 2);
        await EntitlementView.ReadAsync(dataSource, [.. missing.Keys], _json, readAt, generation, (orgId, known, wrong) =>
        {
            if (missing.Remove(orgId, out var entry) && known is not null)
                entry.Fill(known, options.Stale.Ticks);
            if (wrong is not null)
                NotUnderstood(log, orgId, wrong);
        }, patience.Token).ConfigureAwait(false);

        // Only a query that came to its end knows what is not there.
        foreach (var entry in missing.Values)
            entry.Fill(new Known { Exists = false, ReadAt = readAt, Generation = generation }, options.Stale.Ticks);
    }

    void Finish(Entry entry, long announced, long readAt, bool told)
    {
        TaskCompletionSource<bool>? pending;
        lock (entry)
        {
            pending = entry.Pending;
            entry.Pending = null;
        }

        // A row that could not be understood tells nothing.
        pending!.TrySetResult(told && entry.Known is not null);
        if (!told || (entry.Known is { } known && known.ReadAt >= readAt && known.Version >= entry.Announced && known.Generation == Generation))
            return;

        // Announced while the query ran: once more, at once. Else what was read is behind, or can't be understood, and that may last.
        if (entry.Announced > announced)
            _ = Enqueue(entry);
        else
            entry.RetryAt = clock.GetTimestamp() + Ticks(Again);
    }

    void Up()
    {
        if (Interlocked.Exchange(ref _down, 0) != 0)
            IsBack(log);
    }

    void Down(Exception exception)
    {
        Interlocked.Exchange(ref _probeAt, clock.GetTimestamp() + Ticks(options.Retry));
        if (Interlocked.Exchange(ref _down, 1) == 0 && !_stop.IsCancellationRequested)
            IsGone(log, exception);
    }

    long Ticks(TimeSpan span) => (long)(span.TotalSeconds * clock.TimestampFrequency);

    public void Dispose()
    {
        _stop.Cancel();
        _stop.Dispose();
    }

    [LoggerMessage(Level = LogLevel.Error, Message = "Entitlements can't be read: answers are from memory, or assumed, until they can")]
    static partial void IsGone(ILogger logger, Exception exception);

    [LoggerMessage(Level = LogLevel.Information, Message = "Entitlements can be read again")]
    static partial void IsBack(ILogger logger);

    [LoggerMessage(Level = LogLevel.Error, Message = "The entitlements of organization {OrgId} can't be understood: what was known before goes on")]
    static partial void NotUnderstood(ILogger logger, Guid orgId, Exception exception);
}
