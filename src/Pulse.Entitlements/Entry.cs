namespace Pulse.Entitlements;

/// <summary>One organization in memory.</summary>
sealed class Entry(Guid orgId, long since)
{
    Known? _known;
    long _announced;
    long _retryAt;

    public Guid OrgId => orgId;

    /// <summary>When it was first asked for, UTC ticks.</summary>
    public long Since => since;

    /// <summary>What was read last; null before that.</summary>
    public Known? Known => Volatile.Read(ref _known);

    /// <summary>The highest version that was announced.</summary>
    public long Announced => Volatile.Read(ref _announced);

    /// <summary>Was asked for since the hand of the cache last came by.</summary>
    public bool Touched;

    /// <summary>The read that is under way; null when none is. Guarded by this entry's lock.</summary>
    public TaskCompletionSource<bool>? Pending;

    /// <summary>Not to be read again before this timestamp without need: what was read did not make it fresh.</summary>
    public long RetryAt
    {
        get => Volatile.Read(ref _retryAt);
        set => Volatile.Write(ref _retryAt, value);
    }

    public void Announce(long version)
    {
        var known = Volatile.Read(ref _announced);
        while (version > known)
        {
            var seen = Interlocked.CompareExchange(ref _announced, version, known);
            if (seen == known)
                return;
            known = seen;
        }
    }

    /// <summary>
    /// Takes what was read, unless something newer is here: reads overtake each other, and a replica may be behind.
    /// </summary>
    /// <param name="read">What was read.</param>
    /// <param name="stale">Ticks. What is older than this is no longer defended: a store that was restored from a backup counts its versions anew.</param>
    public void Fill(Known read, long stale)
    {
        var known = Volatile.Read(ref _known);
        while (known is null || Supersedes(read, known, stale))
        {
            var seen = Interlocked.CompareExchange(ref _known, read, known);
            if (ReferenceEquals(seen, known))
                return;
            known = seen;
        }
    }

    static bool Supersedes(Known read, Known known, long stale) =>
        // No row has no version: only the order of reading is left.
        read.Version == known.Version || !read.Exists || !known.Exists
            ? read.ReadAt >= known.ReadAt
            : read.Version > known.Version || read.ReadAt - known.ReadAt > stale;
}
