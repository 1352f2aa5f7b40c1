using Microsoft.Extensions.Logging;
using Npgsql;

namespace Pulse.Entitlements;

/// <summary>
/// Answers what organizations may do, from memory where it can. One for the whole process, registered by
/// <see cref="PulseEntitlements.AddPulseEntitlements"/>; safe for any number of threads.
/// </summary>
/// <remarks>
/// <para>No method throws for a store that can't be reached: the answer says by its <see cref="Freshness"/> what it rests on.</para>
/// <para>
/// Up to <see cref="EntitlementOptions.Fresh"/> an answer costs no I/O. Up to <see cref="EntitlementOptions.Stale"/> it is given at once,
/// and read anew behind it. Older, or never read: the answer waits for the store, no longer than <see cref="EntitlementOptions.Timeout"/>.
/// A change is announced by the store and read at once.
/// </para>
/// </remarks>
public sealed class EntitlementReader : IDisposable
{
    readonly EntitlementOptions _options;
    readonly TimeProvider _clock;
    readonly EntryCache _cache;
    readonly EntitlementStore _store;
    readonly ReadCounters _counters = new();
    readonly Known _trial;
    readonly long _fresh;
    readonly long _stale;
    readonly long _notFound;

    internal EntitlementReader(NpgsqlDataSource dataSource, EntitlementOptions options, TimeProvider clock, ILogger<EntitlementReader> log)
    {
        _options = options;
        _clock = clock;
        _cache = new EntryCache(options.MostOrganizations);
        _store = new EntitlementStore(dataSource, options, clock, log);
        _trial = Trial.Of(options);
        _fresh = options.Fresh.Ticks;
        _stale = options.Stale.Ticks;
        _notFound = Math.Min(options.NotFound.Ticks, _fresh);
    }

    /// <summary>Whether an organization may do something now.</summary>
    /// <param name="orgId">The organization.</param>
    /// <param name="capability">The capability, as the plans file names it; case matters.</param>
    /// <param name="cancellationToken">Ends waiting for the store.</param>
    /// <exception cref="ArgumentException"><paramref name="capability"/> is null or empty.</exception>
    /// <exception cref="OperationCanceledException">Cancelled while it waited.</exception>
    public ValueTask<Verdict> CheckAsync(Guid orgId, string capability, CancellationToken cancellationToken = default)
    {
        ArgumentException.ThrowIfNullOrEmpty(capability);
        var now = _clock.GetUtcNow().UtcTicks;
        return TryRead(orgId, now, _stale, out var reading, out var entry)
            ? new ValueTask<Verdict>(Check(reading, capability, now))
            : WaitAsync(this, entry, capability, cancellationToken);

        static async ValueTask<Verdict> WaitAsync(EntitlementReader reader, Entry entry, string capability, CancellationToken cancellationToken)
        {
            var reading = await reader.ReadAsync(entry, cancellationToken).ConfigureAwait(false);
            return reader.Check(reading, capability, reader._clock.GetUtcNow().UtcTicks);
        }
    }

    /// <summary>
    /// Whether an organization may do anything at all now, or one thing, with a bound of its own on how old the answer may be: for what
    /// enforces. Older than the bound it waits for the store, no longer than <see cref="EntitlementOptions.Timeout"/>, and only while the
    /// store can't be reached the answer is <see cref="Freshness.LastKnown"/> and older.
    /// </summary>
    /// <param name="orgId">The organization.</param>
    /// <param name="capability">The capability, as the plans file names it; null: whether it has access, whatever its capabilities.</param>
    /// <param name="atMost">How old what was read may be to be answered without waiting. 0 to <see cref="EntitlementOptions.Stale"/>.</param>
    /// <param name="cancellationToken">Ends waiting for the store.</param>
    /// <exception cref="OperationCanceledException">Cancelled while it waited.</exception>
    public ValueTask<Verdict> EnforceAsync(Guid orgId, string? capability, TimeSpan atMost, CancellationToken cancellationToken = default)
    {
        var now = _clock.GetUtcNow().UtcTicks;
        return TryRead(orgId, now, atMost.Ticks, out var reading, out var entry)
            ? new ValueTask<Verdict>(Check(reading, capability, now))
            : WaitAsync(this, entry, capability, cancellationToken);

        static async ValueTask<Verdict> WaitAsync(EntitlementReader reader, Entry entry, string? capability, CancellationToken cancellationToken)
        {
            var reading = await reader.ReadAsync(entry, cancellationToken).ConfigureAwait(false);
            return reader.Check(reading, capability, reader._clock.GetUtcNow().UtcTicks);
        }
    }

    /// <summary>
    /// Whether an organization that uses <paramref name="used"/> of something may use more. A limit that is missing is none; at the limit
    /// it is <see cref="LimitLevel.Hard"/>, from <see cref="EntitlementOptions.SoftPercent"/> of it on <see cref="LimitLevel.Soft"/>. An
    /// organization that may do nothing is <see cref="LimitLevel.Hard"/>.
    /// </summary>
    /// <param name="orgId">The organization.</param>
    /// <param name="limit">What is limited, as the plans file names it; case matters.</param>
    /// <param name="used">How much of it is used already, in the limit's own unit; the caller counts.</param>
    /// <param name="cancellationToken">Ends waiting for the store.</param>
    /// <exception cref="ArgumentException"><paramref name="limit"/> is null or empty.</exception>
    /// <exception cref="OperationCanceledException">Cancelled while it waited.</exception>
    public ValueTask<LimitVerdict> LimitAsync(Guid orgId, string limit, long used, CancellationToken cancellationToken = default)
    {
        ArgumentException.ThrowIfNullOrEmpty(limit);
        var now = _clock.GetUtcNow().UtcTicks;
        return TryRead(orgId, now, _stale, out var reading, out var entry)
            ? new ValueTask<LimitVerdict>(Limit(reading, limit, used, now))
            : WaitAsync(this, entry, limit, used, cancellationToken);

        static async ValueTask<LimitVerdict> WaitAsync(EntitlementReader reader, Entry entry, string limit, long used, CancellationToken cancellationToken)
        {
            var reading = await reader.ReadAsync(entry, cancellationToken).ConfigureAwait(false);
            return reader.Limit(reading, limit, used, reader._clock.GetUtcNow().UtcTicks);
        }
    }

    /// <summary>Everything that is known of an organization.</summary>
    /// <param name="orgId">The organization.</param>
    /// <param name="cancellationToken">Ends waiting for the store.</param>
    /// <returns>Null when there is no such organization, or when it was never read and <see cref="EntitlementOptions.Assumed"/> is over.</returns>
    /// <exception cref="OperationCanceledException">Cancelled while it waited.</exception>
    public async ValueTask<EntitlementState?> GetAsync(Guid orgId, CancellationToken cancellationToken = default)
    {
        if (!TryRead(orgId, _clock.GetUtcNow().UtcTicks, _stale, out var reading, out var entry))
            reading = await ReadAsync(entry, cancellationToken).ConfigureAwait(false);

        _counters.Add(reading.Freshness);
        if (reading.Known is not { Exists: true } known)
            return null;

        var now = _clock.GetUtcNow().UtcTicks;
        var segment = known.Timeline.At(now);
        var next = known.Timeline.NextAfter(now);
        return new EntitlementState
        {
            OrgId = orgId,
            Version = known.Version,
            Lifecycle = known.Lifecycle,
            Unlimited = known.Unlimited,
            SubscriptionState = known.Unlimited ? "active" : segment?.State ?? "expired",
            PlanVersion = segment?.PlanVersion,
            Capabilities = segment?.Capabilities ?? System.Collections.Frozen.FrozenSet<string>.Empty,
            Limits = segment?.Limits ?? System.Collections.Frozen.FrozenDictionary<string, long>.Empty,
            MetersEnabled = segment?.Meters ?? [],
            TrialEndsAt = segment?.TrialEndsAt,
            GraceUntil = segment?.GraceUntil,
            Source = segment?.Source ?? "local_trial",
            NextBoundaryAt = next is { } at ? new DateTimeOffset(at, TimeSpan.Zero) : null,
            VerifiedAt = known.VerifiedAt,
            Freshness = reading.Freshness,
            AsOf = Utc(reading.AsOf),
            DenialReason = known.Denial(segment),
        };
    }

    /// <summary>Organizations in memory now; never more than <see cref="EntitlementOptions.MostOrganizations"/>.</summary>
    public int Organizations => _cache.Count;

    /// <summary>Queries sent to the store so far, those that failed as well.</summary>
    public long Queries => _store.Queries;

    /// <summary>Ends what is under way.</summary>
    public void Dispose()
    {
        _store.Dispose();
        _counters.Dispose();
    }

    /// <summary>A change is announced. Who is in memory is read at once, so that the next answer is a fresh one.</summary>
    internal void Announced(Guid orgId, long version)
    {
        if (!_cache.TryGet(orgId, out var entry))
            return;

        entry.Announce(version);
        if (entry.Known is not { } known || known.Version < version)
            _store.Refresh(entry);
    }

    internal void Listening() => _store.Listening();

    /// <summary>How often the announcements began to be heard.</summary>
    internal int Generation => _store.Generation;

    internal long Reads(Freshness freshness) => _counters.Of(freshness);

    /// <summary>What can be answered without waiting; else the entry is what to wait for.</summary>
    bool TryRead(Guid orgId, long now, long stale, out Reading reading, out Entry entry)
    {
        if (!_cache.TryGet(orgId, out entry!))
        {
            entry = _cache.GetOrAdd(orgId, now);
        }
        else
        {
            // Read before it is written: a line that is only read stays in every processor's cache.
            if (!entry.Touched)
                entry.Touched = true;
            if (entry.Known is { } known && IsFresh(entry, known, now))
            {
                reading = new Reading(known, Freshness.Fresh, known.ReadAt);
                return true;
            }
        }

        return TryReadStale(entry, now, stale, out reading);
    }

    bool IsFresh(Entry entry, Known known, long now) =>
        // On both sides: a clock may be put back, and a read may have begun after this one's look at the clock.
        Math.Abs(now - known.ReadAt) <= (known.Exists ? _fresh : _notFound)
        && known.Version >= entry.Announced
        && known.Generation == _store.Generation;

    bool TryReadStale(Entry entry, long now, long stale, out Reading reading)
    {
        var known = entry.Known;
        var servable = known is { Exists: true } && Math.Abs(now - known.ReadAt) <= stale;
        if (!servable && !_store.IsDown)
        {
            reading = default;
            return false;
        }

        _store.Refresh(entry);
        reading = known is null ? Assume(entry, now) : new Reading(known, Freshness.LastKnown, known.ReadAt);
        return true;
    }

    async ValueTask<Reading> ReadAsync(Entry entry, CancellationToken cancellationToken)
    {
        var told = await _store.ReadAsync(entry).WaitAsync(cancellationToken).ConfigureAwait(false);
        var now = _clock.GetUtcNow().UtcTicks;
        return entry.Known is not { } known ? Assume(entry, now)
            : new Reading(known, told && IsFresh(entry, known, now) ? Freshness.Fresh : Freshness.LastKnown, known.ReadAt);
    }

    // Null: it was assumed for long enough.
    Reading Assume(Entry entry, long now) =>
        new(Math.Abs(now - entry.Since) < _options.Assumed.Ticks ? _trial : null, Freshness.Assumed, entry.Since);

    Verdict Check(in Reading reading, string? capability, long now)
    {
        _counters.Add(reading.Freshness);
        var denial = reading.Known is { } known ? known.Denial(capability, now) : DenialReason.Unavailable;
        return new Verdict(denial is null, reading.Freshness, denial, Utc(reading.AsOf));
    }

    LimitVerdict Limit(in Reading reading, string limit, long used, long now)
    {
        _counters.Add(reading.Freshness);
        var asOf = Utc(reading.AsOf);
        var segment = reading.Known?.Timeline.At(now);
        long? most = segment?.Limits.TryGetValue(limit, out var value) == true ? value : null;
        var denial = reading.Known is { } known ? known.Denial(segment) : DenialReason.Unavailable;
        if (denial is not null)
            return new LimitVerdict(LimitLevel.Hard, most, reading.Freshness, denial, asOf);

        var level = LimitRules.Level(used, most, _options.SoftPercent);
        return new LimitVerdict(level, most, reading.Freshness, level == LimitLevel.Hard ? DenialReason.LimitReached : null, asOf);
    }

    static DateTimeOffset Utc(long ticks) => new(ticks, TimeSpan.Zero);

    /// <summary>What an answer is made of; <paramref name="Known"/> is null when nothing may be assumed any more.</summary>
    readonly record struct Reading(Known? Known, Freshness Freshness, long AsOf);
}
