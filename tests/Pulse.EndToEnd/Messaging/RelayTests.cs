using Microsoft.Extensions.Logging.Abstractions;
using Npgsql;
using Pulse.Messaging.Outbox;
using Pulse.Testing;

namespace Pulse.EndToEnd.Messaging;

/// <summary>What is committed gets to the broker, in whatever order and by whomever.</summary>
public sealed class RelayTests : IAsyncLifetime
{
    readonly Bed _bed = new();

    public Task InitializeAsync() => _bed.InitializeAsync();

    public Task DisposeAsync() => _bed.DisposeAsync();

    static Deposited Deposit => new() { Account = Guid.NewGuid() };

    [Fact]
    public async Task What_one_relay_has_claimed_another_passes_over()
    {
        // The first has ten messages in its hands and stands still; the second sees only what came later.
        var claimed = new StopAt("relay: before publish");
        var first = await _bed.StartAsync(Node.DeferredDeposits, claimed.PassAsync);
        await _bed.PublishAsync([.. Enumerable.Range(0, 10).Select(_ => Deposit)]);
        await claimed.ReachedAsync();
        var second = await _bed.StartAsync(Node.DeferredDeposits);
        await _bed.PublishAsync([.. Enumerable.Range(0, 10).Select(_ => Deposit)]);
        await Eventually.Until(async () => await _bed.DepositsAsync() == 10, TimeSpan.FromSeconds(30), "the later ten were consumed");

        claimed.LetGo();
        await Eventually.Until(async () => await _bed.InboxAsync() == 40, TimeSpan.FromSeconds(30), "all were consumed");
        await _bed.DrainedAsync();
        // Every delivery is counted here, a repeated one, too.
        Assert.Equal(20, first.Script.Deliveries + second.Script.Deliveries);
    }

    [Fact]
    public async Task Two_relays_bring_a_backlog_to_the_broker_and_publish_nothing_twice()
    {
        await _bed.PublishAsync([.. Enumerable.Range(0, 2000).Select(_ => Deposit)]);
        var nodes = new[] { await _bed.StartAsync(Node.DeferredDeposits), await _bed.StartAsync(Node.DeferredDeposits) };

        await Eventually.Until(async () => await _bed.InboxAsync() == 4000, TimeSpan.FromSeconds(60), "every message and its event were consumed");
        await _bed.DrainedAsync();
        Assert.Equal(2000, await _bed.DepositsAsync());
        Assert.Equal(2000, nodes.Sum(node => node.Script.Deliveries));
    }

    [Fact]
    public async Task A_transaction_that_commits_behind_a_later_one_is_not_passed_over()
    {
        var node = await _bed.StartAsync();
        var publisher = new OutboxPublisher(TimeProvider.System, new OutboxBell(_bed.Postgres.Worker, NullLogger<OutboxBell>.Instance));

        await using var slow = await _bed.Postgres.Worker.OpenConnectionAsync();
        await using var transaction = await slow.BeginTransactionAsync();
        await using (var batch = new NpgsqlBatch(slow))
        {
            batch.BatchCommands.Add(publisher.Publish(Deposit));
            await batch.ExecuteNonQueryAsync();
        }

        await _bed.PublishAsync(Deposit, Deposit);
        await Eventually.Until(async () => await _bed.DepositsAsync() == 2, TimeSpan.FromSeconds(20), "the later ones were relayed");

        await transaction.CommitAsync();
        await Eventually.Until(async () => await _bed.DepositsAsync() == 3, TimeSpan.FromSeconds(20), "the earlier one was relayed");
        Assert.Equal(3, node.Script.Deliveries);
    }

    [Fact]
    public async Task A_message_that_routes_nowhere_is_kept_and_tried_until_a_queue_is_bound()
    {
        await _bed.StartAsync(register: _ => { });
        await _bed.PublishAsync(Deposit);
        await Eventually.Until(
            async () => await _bed.Postgres.AskAsync<long>("select count(*) from messaging.outbox where attempts > 1") == 1,
            TimeSpan.FromSeconds(20), "it was tried in vain");
        Assert.Contains("Deposited", await _bed.Postgres.AskAsync<string>("select last_error from messaging.outbox"), StringComparison.Ordinal);

        // The exchange is there now, but no queue.
        await using (var connection = await new RabbitMQ.Client.ConnectionFactory { Uri = _bed.Broker.Address }.CreateConnectionAsync())
        await using (var channel = await connection.CreateChannelAsync())
        {
            await channel.ExchangeDeclareAsync("Pulse.EndToEnd.Messaging:Deposited", "fanout", durable: true, autoDelete: false);
            await Eventually.Until(
                async () => await _bed.Postgres.AskAsync<string>("select last_error from messaging.outbox") == "no queue is bound for it",
                TimeSpan.FromSeconds(20), "it was returned");
        }

        await _bed.StartAsync();
        await Eventually.Until(async () => await _bed.DepositsAsync() == 1, TimeSpan.FromSeconds(30), "it was consumed");
        await _bed.DrainedAsync();
    }

    [Fact]
    public async Task A_message_that_routes_nowhere_does_not_hold_up_the_others()
    {
        await _bed.StartAsync();
        await using (var command = _bed.Postgres.Worker.CreateCommand("""
            insert into messaging.outbox (id, message_id, exchange, routing_key, content_type, body, due_at, relay_at)
            select gen_random_uuid(), gen_random_uuid(), 'no-such-exchange', '', 'application/json', '{}', now(), '-infinity' from generate_series(1, 3)
            """))
            await command.ExecuteNonQueryAsync();
        await _bed.PublishAsync(Deposit, Deposit);

        await Eventually.Until(async () => await _bed.DepositsAsync() == 2, TimeSpan.FromSeconds(20), "the others were consumed");
        await Eventually.Until(async () => await _bed.OutboxAsync() == 3, TimeSpan.FromSeconds(20), "the three are kept");
    }

    [Fact]
    public async Task What_is_published_is_persistent_and_in_quorum_queues()
    {
        await using var connection = await new RabbitMQ.Client.ConnectionFactory { Uri = _bed.Broker.Address }.CreateConnectionAsync();
        await using var channel = await connection.CreateChannelAsync();
        await channel.ExchangeDeclareAsync("Pulse.EndToEnd.Messaging:Deposited", "fanout", durable: true, autoDelete: false);
        await channel.QueueDeclareAsync("spy", durable: false, exclusive: true, autoDelete: true);
        await channel.QueueBindAsync("spy", "Pulse.EndToEnd.Messaging:Deposited", "");
        await _bed.StartAsync();
        await _bed.PublishAsync(Deposit);

        RabbitMQ.Client.BasicGetResult? message = null;
        await Eventually.Until(async () => (message = await channel.BasicGetAsync("spy", autoAck: true)) is not null, TimeSpan.FromSeconds(20), "it was published");
        Assert.True(message!.BasicProperties.Persistent);
        Assert.Equal("application/vnd.masstransit+json", message.BasicProperties.ContentType);

        // The same declaration succeeds; any other is refused.
        await using var other = await connection.CreateChannelAsync();
        await Assert.ThrowsAsync<RabbitMQ.Client.Exceptions.OperationInterruptedException>(
            () => other.QueueDeclareAsync("deposits", durable: true, exclusive: false, autoDelete: false));
    }

    [Fact]
    public async Task A_message_past_its_time_is_dropped()
    {
        await _bed.PublishAsync(Deposit);
        await using (var command = _bed.Postgres.Worker.CreateCommand("update messaging.outbox set expires_at = now() - interval '1 second'"))
            await command.ExecuteNonQueryAsync();
        var node = await _bed.StartAsync();

        await _bed.DrainedAsync();
        Assert.Equal(0, node.Script.Deliveries);
    }
}
