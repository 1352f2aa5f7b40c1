using MassTransit;
using Microsoft.Extensions.Logging.Abstractions;
using Pulse.Messaging;
using Pulse.Messaging.Outbox;
using Pulse.Testing;

namespace Pulse.EndToEnd.Messaging;

/// <summary>A database, a virtual host, and as many processes on them as a test starts.</summary>
public sealed class Bed : IAsyncLifetime
{
    readonly List<Node> _nodes = [];

    public TestPostgres Postgres { get; } = new();
    public TestBroker Broker { get; } = new();

    public async Task InitializeAsync()
    {
        await Postgres.InitializeAsync();
        await Broker.InitializeAsync();
        await using var table = Postgres.Worker.CreateCommand("create schema bed; create table bed.deposits (account uuid not null)");
        await table.ExecuteNonQueryAsync();
    }

    /// <summary>Starts one process: a host of its own with its own connections to both servers.</summary>
    internal async Task<Node> StartAsync(
        Action<IBusRegistrationConfigurator>? register = null, Func<string, Task>? atPoint = null, Mutant? mutant = null, TimeProvider? clock = null)
    {
        var node = await Node.StartAsync(Postgres.WorkerAddress, Broker.Address, register ?? Node.Deposits, atPoint, mutant, clock);
        _nodes.Add(node);
        return node;
    }

    /// <summary>Publishes as a process without a broker connection does.</summary>
    public async Task PublishAsync<T>(params T[] messages)
        where T : class
    {
        var publisher = new OutboxPublisher(TimeProvider.System, new OutboxBell(Postgres.Worker, NullLogger<OutboxBell>.Instance));
        await using var batch = Postgres.Worker.CreateBatch();
        foreach (var message in messages)
            batch.BatchCommands.Add(publisher.Publish(message));
        await batch.ExecuteNonQueryAsync();
    }

    /// <summary>Puts one more copy of what waits in the outbox beside it, under the same message id.</summary>
    public async Task DuplicateOutboxAsync()
    {
        await using var command = Postgres.Worker.CreateCommand("""
            insert into messaging.outbox (id, message_id, exchange, routing_key, content_type, headers, body, due_at, relay_at)
            select gen_random_uuid(), message_id, exchange, routing_key, content_type, headers, body, due_at, relay_at from messaging.outbox
            """);
        await command.ExecuteNonQueryAsync();
    }

    public Task<long> DepositsAsync() => Postgres.AskAsync<long>("select count(*) from bed.deposits");

    public Task<long> OutboxAsync() => Postgres.AskAsync<long>("select count(*) from messaging.outbox");

    public Task<long> InboxAsync() => Postgres.AskAsync<long>("select count(*) from messaging.inbox");

    public Task DrainedAsync() =>
        Eventually.Until(async () => await OutboxAsync() == 0, TimeSpan.FromSeconds(30), "the outbox drained");

    public async Task DisposeAsync()
    {
        foreach (var node in _nodes)
            await node.DisposeAsync();
        await Broker.DisposeAsync();
        await Postgres.DisposeAsync();
    }
}
