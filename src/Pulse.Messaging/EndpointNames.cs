using System.Collections.Concurrent;

namespace Pulse.Messaging;

/// <summary>The process' endpoints, and which consumers and sagas each has. Complete when the bus is made.</summary>
public sealed class EndpointNames
{
    readonly ConcurrentDictionary<string, ConcurrentDictionary<Type, bool>> _consumers = new(StringComparer.Ordinal);

    /// <summary>The names, which are the queues' as well.</summary>
    public IReadOnlyList<string> All => [.. _consumers.Keys.Order(StringComparer.Ordinal)];

    internal void Add(string endpoint) => _consumers.TryAdd(endpoint, []);

    internal void Add(string endpoint, Type consumerOrSaga) => _consumers.GetOrAdd(endpoint, _ => []).TryAdd(consumerOrSaga, true);

    /// <returns>Consumers and sagas of an endpoint; none when there is no such endpoint.</returns>
    internal IReadOnlyList<Type> ConsumersOf(string endpoint) => _consumers.TryGetValue(endpoint, out var types) ? [.. types.Keys] : [];
}
