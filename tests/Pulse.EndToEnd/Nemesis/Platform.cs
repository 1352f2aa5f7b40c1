using Pulse.EndToEnd.Messaging;
using Pulse.Hosting;
using Pulse.Testing;
using Pulse.Worker.Invariants;

namespace Pulse.EndToEnd.Nemesis;

/// <summary>Servers, workers and ingresses that belong to one run, a proxy between the ones and the others, and ways to hurt them.</summary>
/// <remarks>The nodes of a cluster are reached past the proxy: <c>rabbitmq</c> is the first, <c>rabbitmq-2</c> the next.</remarks>
sealed class Platform(int workers, int ingresses, int nodes) : IAsyncDisposable
{
    // The order in which they are started again.
    public const string Postgres = "postgres", Broker = "rabbitmq", Worker = "worker", Ingress = "ingress";

    readonly OwnServers _servers = new();
    readonly Dictionary<string, Child> _children = [];
    readonly Dictionary<string, BrokerNode> _nodes = [];
    readonly List<FaultProxy> _proxies = [];
    DateTime _brokerMayDie;

    public OwnServers Servers => _servers;
    public IReadOnlyList<Uri> Ingresses => [.. Named(Ingress).Select(name => _children[name].Url)];

    /// <summary>The names of the processes of one kind.</summary>
    public IReadOnlyList<string> Named(string kind) => kind is Postgres or Broker
        ? [kind]
        : [.. Enumerable.Range(1, kind == Worker ? workers : ingresses).Select(number => $"{kind}-{number}")];

    public FaultProxy Proxy(string server) => _proxies[server == Postgres ? 0 : 1];

    public async Task StartAsync()
    {
        await _servers.StartAsync();
        var postgres = new Uri(_servers.Postgres);
        _proxies.Add(new FaultProxy(postgres.Host, postgres.Port));
        _proxies.Add(new FaultProxy(_servers.Broker.Host, _servers.Broker.Port));
        for (var number = 2; number <= nodes; number++)
        {
            _nodes[$"{Broker}-{number}"] = new BrokerNode(number, _servers.BrokerPid);
            _nodes[$"{Broker}-{number}"].Start();
        }

        await Task.WhenAll(_nodes.Values.Select(node => node.ReadyAsync()));

        foreach (var name in Named(Worker))
        {
            _children[name] = new Child(name, "Pulse.Worker", "PULSE_WORKER_URL", new()
            {
                ["PULSE_POSTGRES"] = Proxy(Postgres).Through(postgres).ToString(),
                ["PULSE_RABBITMQ"] = nodes == 1 ? Proxy(Broker).Through(_servers.Broker).ToString() : Cluster,
            });
        }

        foreach (var name in Named(Ingress))
        {
            _children[name] = new Child(name, "Pulse.Ingress", "PULSE_INGRESS_URL", new()
            {
                ["PULSE_POSTGRES"] = Proxy(Postgres).Through(new Uri(_servers.PostgresIngress)).ToString(),
                ["PULSE_HOSTED_MODE"] = "true",
                ["PULSE_TRUSTED_PROXIES"] = "127.0.0.0/8",
                ["PULSE_PASSWORD_HASH_ITERATIONS"] = "100000",
            });
        }

        foreach (var child in _children.Values)
            child.Start();
        await ReadyAsync();
        // A quorum queue of RabbitMQ 3.10 whose broker is killed within seconds of its making can come back without a leader.
        _brokerMayDie = DateTime.UtcNow + TimeSpan.FromSeconds(15);
    }

    public async Task KillAsync(IReadOnlyList<string> names)
    {
        if (names.Contains(Broker) || names.Any(_nodes.ContainsKey))
            await Eventually.Until(() => DateTime.UtcNow > _brokerMayDie, TimeSpan.FromSeconds(20), "the broker had its queues on disk");
        foreach (var name in names)
        {
            if (_children.TryGetValue(name, out var child))
                child.Kill();
            else if (_nodes.TryGetValue(name, out var node))
                node.Kill();
            else
                await _servers.KillAsync(name);
        }

        if (names.Any(_nodes.ContainsKey))
            await _nodes.First(node => !names.Contains(node.Key)).Value.ElectedAsync();
    }

    public async Task RestartAsync(IReadOnlyList<string> names)
    {
        foreach (var name in names.Where(name => !_children.ContainsKey(name)))
        {
            if (_nodes.TryGetValue(name, out var node))
                node.Start();
            else
                await _servers.RestartAsync(name);
        }

        foreach (var name in names)
        {
            if (_children.TryGetValue(name, out var child))
                child.Start();
        }
    }

    public Task ReadyAsync() => Task.WhenAll(_children.Values.Select(child => child.ReadyAsync()));

    /// <summary>How many nodes of the cluster have a queue, and are up.</summary>
    public Task<int> MembersAsync(string queue) => _nodes.Values.First().MembersAsync(queue);

    // The first node last: it is the one that the doctor asks, and not the one to kill.
    string Cluster => _servers.Broker.ToString().Replace(
        _servers.Broker.Authority, string.Join(',', [.. _nodes.Values.Select(node => node.Endpoint), _servers.Broker.Authority]), StringComparison.Ordinal);

    /// <summary>What <c>./pulse doctor --at-rest</c> says. Past the proxies.</summary>
    public async Task<DoctorReport> ExamineAsync()
    {
        await _servers.AskAsync<int>("select 1");
        await using var dataSource = Npgsql.NpgsqlDataSource.Create(PostgresAddress.Parse(_servers.Postgres));
        return await Doctor.ExamineAsync(dataSource, [_servers.Broker], new InvariantScope
        {
            Now = DateTimeOffset.UtcNow,
            UnfinishedAfter = TimeSpan.Zero,
            OutboxAfter = TimeSpan.Zero,
            InboxKept = TimeSpan.FromDays(44),
        });
    }

    public async ValueTask DisposeAsync()
    {
        foreach (var child in _children.Values)
            await child.DisposeAsync();
        foreach (var node in _nodes.Values)
            await node.DisposeAsync();
        foreach (var proxy in _proxies)
            await proxy.DisposeAsync();
        await _servers.StopAsync();
    }
}
