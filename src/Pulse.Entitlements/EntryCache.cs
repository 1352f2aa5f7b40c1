using System.Collections.Concurrent;
using System.Diagnostics.CodeAnalysis;

namespace Pulse.Entitlements;

/// <summary>
/// Organizations in memory, bounded by their number. Who was not asked for since the hand last came by makes room: least recently used,
/// near enough, with a read that writes nothing but its first touch.
/// </summary>
sealed class EntryCache(int most)
{
    readonly ConcurrentDictionary<Guid, Entry> _entries = new(Environment.ProcessorCount, Math.Min(most, 1024));
    readonly Lock _lock = new();
    readonly List<Entry> _ring = [];
    int _hand;

    public int Count => _ring.Count;

    public bool TryGet(Guid orgId, [NotNullWhen(true)] out Entry? entry) => _entries.TryGetValue(orgId, out entry);

    /// <summary>The organization's entry, made when it is not there.</summary>
    public Entry GetOrAdd(Guid orgId, long now)
    {
        if (_entries.TryGetValue(orgId, out var known))
            return known;

        lock (_lock)
        {
            if (_entries.TryGetValue(orgId, out known))
                return known;

            var entry = new Entry(orgId, now);
            if (_ring.Count < most)
            {
                _ring.Add(entry);
            }
            else
            {
                // One round at most: the hand takes every touch away that it meets.
                while (_ring[_hand].Touched)
                {
                    _ring[_hand].Touched = false;
                    _hand = (_hand + 1) % most;
                }

                _entries.TryRemove(_ring[_hand].OrgId, out _);
                _ring[_hand] = entry;
                _hand = (_hand + 1) % most;
            }

            _entries[orgId] = entry;
            return entry;
        }
    }
}
