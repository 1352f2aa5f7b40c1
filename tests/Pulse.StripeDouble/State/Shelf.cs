namespace Pulse.StripeDouble.State;

/// <summary>All resources of one kind, by id, and in the order of their making.</summary>
sealed class Shelf<T>(Func<long> nextSequence, Action<T> onPut, Action<T> onRemove) where T : Resource
{
    readonly Dictionary<string, T> _byId = [];
    readonly List<T> _all = [];
    readonly Dictionary<string, List<T>> _byOwner = [];

    public int Count => _all.Count;

    public T? Find(string? id) => id is not null && _byId.TryGetValue(id, out var found) ? found : null;

    /// <summary>One that must be there; the parameter is what Stripe's error names.</summary>
    public T Get(string? id, string kind, string parameter = "id") => Find(id) ?? throw StripeException.Missing(kind, id, parameter);

    /// <summary>In the order of their making; of one customer, or all.</summary>
    public IReadOnlyList<T> Of(string? owner) => owner is null ? _all : _byOwner.GetValueOrDefault(owner) ?? (IReadOnlyList<T>)[];

    /// <summary>A new one, or a new state of one.</summary>
    public T Put(T resource)
    {
        if (_byId.TryGetValue(resource.Id, out var before))
        {
            resource = resource with { Sequence = before.Sequence };
            Replace(_all, resource);
            if (resource.Owner is { } owner)
                Replace(_byOwner[owner], resource);
        }
        else
        {
            if (resource.Sequence == 0)
                resource = resource with { Sequence = nextSequence() };
            _all.Add(resource);
            if (resource.Owner is { } owner)
            {
                if (!_byOwner.TryGetValue(owner, out var owned))
                    _byOwner[owner] = owned = [];
                owned.Add(resource);
            }
        }

        _byId[resource.Id] = resource;
        onPut(resource);
        return resource;
    }

    public void Remove(T resource)
    {
        if (!_byId.Remove(resource.Id))
            return;

        _all.RemoveAt(IndexOf(_all, resource.Sequence));
        if (resource.Owner is { } owner)
            _byOwner[owner].RemoveAt(IndexOf(_byOwner[owner], resource.Sequence));
        onRemove(resource);
    }

    public void Clear()
    {
        for (var last = _all.Count - 1; last >= 0; last--)
            Remove(_all[last]);
    }

    /// <summary>Where it stands in a list that is ordered by sequence; the complement of where it would, when it is not there.</summary>
    public static int IndexOf(IReadOnlyList<T> ordered, long sequence)
    {
        int low = 0, high = ordered.Count - 1;
        while (low <= high)
        {
            var middle = (low + high) / 2;
            if (ordered[middle].Sequence == sequence)
                return middle;
            if (ordered[middle].Sequence < sequence)
                low = middle + 1;
            else
                high = middle - 1;
        }

        return ~low;
    }

    static void Replace(List<T> ordered, T resource) => ordered[IndexOf(ordered, resource.Sequence)] = resource;
}
