using System.Diagnostics;
using Pulse.Testing;

namespace Pulse.EndToEnd.Messaging;

/// <summary>Servers of their own that are killed and come back; the process on them is left to help itself.</summary>
public sealed class OutageTests : IAsyncLifetime
{
    readonly OwnServers _servers = new();
    Node? _node;

    public async Task InitializeAsync()
    {
        await _servers.StartAsync();
        await _servers.RunSqlAsync("create schema bed; create table bed.deposits (account uuid not null)");
        _node = await Node.StartAsync(_servers.Postgres, _servers.Broker, Node.Deposits, atPoint: null);
    }

    public async Task DisposeAsync()
    {
        if (_node is not null)
            await _node.DisposeAsync();
        await _servers.StopAsync();
    }

    [Fact]
    public async Task A_broker_that_is_killed_costs_no_message()
    {
        await PublishAsync(50);
        await ConsumedAsync(50);

        await _servers.KillAsync("rabbitmq");
        await PublishAsync(50);
        await _servers.RestartAsync("rabbitmq");
        await PublishAsync(50);

        await ConsumedAsync(150);
    }

    [Fact]
    public async Task A_Postgres_that_is_killed_costs_no_message_and_dead_letters_none()
    {
        await PublishAsync(50);
        await ConsumedAsync(50);

        // Messages that are in the queue when it dies, and one that is being consumed.
        var reached = new TaskCompletionSource();
        var hold = new TaskCompletionSource();
        _node!.Script.AfterWork = (_, _) =>
        {
            reached.TrySetResult();
            return hold.Task;
        };
        await PublishAsync(50);
        await reached.Task.WaitAsync(TimeSpan.FromSeconds(20));
        await _servers.KillAsync("postgres");
        hold.SetResult();
        await _servers.RestartAsync("postgres");
        await PublishAsync(50);

        await ConsumedAsync(150);
        Assert.Equal(0, await _servers.AskAsync<long>("select count(*) from (select account from bed.deposits group by account having count(*) > 1) twice"));
        await using var connection = await new RabbitMQ.Client.ConnectionFactory { Uri = _servers.Broker }.CreateConnectionAsync();
        await using var channel = await connection.CreateChannelAsync();
        await Assert.ThrowsAsync<RabbitMQ.Client.Exceptions.OperationInterruptedException>(() => channel.QueueDeclarePassiveAsync("deposits_error"));
    }

    async Task PublishAsync(int count) =>
        await _servers.PublishAsync([.. Enumerable.Range(0, count).Select(_ => new Deposited { Account = Guid.NewGuid() })]);

    async Task ConsumedAsync(int count)
    {
        await Eventually.Until(
            async () => await _servers.AskAsync<long>("select count(*) from messaging.inbox") == 2 * count && await _servers.AskAsync<long>("select count(*) from messaging.outbox") == 0,
            TimeSpan.FromSeconds(90), $"{count} messages and their events were consumed");
        Assert.Equal(count, await _servers.AskAsync<long>("select count(*) from bed.deposits"));
    }
}
