using MassTransit;
using Microsoft.Extensions.Logging.Abstractions;
using Npgsql;
using Pulse.Messaging;
using Pulse.Messaging.Outbox;
using Pulse.Testing;
using RabbitMQ.Client;

namespace Pulse.EndToEnd.Messaging;

/// <summary>The harness proves itself: what it finds right in the library it finds wrong in each mutant.</summary>
public sealed class MutantTests
{
    static readonly Reckoning Clean = new(Lost: 0, Repeated: 0);

    [Fact]
    public async Task Without_an_inbox_a_message_that_comes_twice_is_done_twice()
    {
        Assert.Equal(Clean, await ComesTwiceAsync(Mutant.None));
        Assert.Equal(Clean with { Repeated = 1 }, await ComesTwiceAsync(new HasNoInbox()));
    }

    static Task<Reckoning> ComesTwiceAsync(Mutant mutant) => OnBedAsync(async (bed, deposit) =>
    {
        await bed.PublishAsync(deposit);
        await bed.DuplicateOutboxAsync();
        return await bed.StartAsync(mutant: mutant);
    });

    [Fact]
    public async Task Acknowledged_before_its_commit_a_message_is_lost_with_the_process()
    {
        Assert.Equal(Clean, await DiesAsync("deposits: before commit", Node.Deposits));
        Assert.Equal(Clean with { Lost = 1 }, await DiesAsync("deposits: before commit", AcknowledgesOnDelivery.Deposits));
    }

    [Fact]
    public async Task Deleted_before_it_is_published_a_message_is_lost_with_the_relay()
    {
        Assert.Equal(Clean, await DiesAsync("relay: before publish", Node.Deposits));
        Assert.Equal(Clean with { Lost = 1 }, await DiesAsync("relay: before publish", Node.Deposits, new DeletesBeforePublishing()));
    }

    static Task<Reckoning> DiesAsync(string point, Action<IBusRegistrationConfigurator> register, Mutant? mutant = null) => OnBedAsync(async (bed, deposit) =>
    {
        var stop = new StopAt(point);
        var dying = await bed.StartAsync(register, stop.PassAsync, mutant);
        await bed.PublishAsync(deposit);
        await stop.ReachedAsync();
        await dying.DieAsync(bed);
        return await bed.StartAsync();
    });

    [Fact]
    public async Task Above_a_high_water_mark_a_message_that_is_committed_late_is_passed_over()
    {
        Assert.Equal(Clean, await CommitsLateAsync(Mutant.None));
        Assert.Equal(Clean with { Lost = 1 }, await CommitsLateAsync(new RelaysAboveHighWaterMark()));
    }

    static Task<Reckoning> CommitsLateAsync(Mutant mutant) => OnBedAsync(async (bed, deposit) =>
    {
        var node = await bed.StartAsync(mutant: mutant);
        // Its id is older than that of whatever is published from now on.
        var clock = new TestClock();
        clock.Advance(TimeSpan.FromSeconds(-1));
        var publisher = new OutboxPublisher(clock, new OutboxBell(bed.Postgres.Worker, NullLogger<OutboxBell>.Instance));
        await using var connection = await bed.Postgres.Worker.OpenConnectionAsync();
        await using var transaction = await connection.BeginTransactionAsync();
        await using (var batch = new NpgsqlBatch(connection))
        {
            batch.BatchCommands.Add(publisher.Publish(deposit));
            await batch.ExecuteNonQueryAsync();
        }

        await PublishedBehindIsConsumedAsync(bed);
        await transaction.CommitAsync();
        return node;
    });

    // A quorum queue keeps everything, whatever it is told of a message. So this is about whoever binds a durable queue of the old kind to
    // an event: a service of the platform's, an operator who listens in.
    [Fact]
    public async Task Published_as_non_persistent_messages_are_lost_with_the_broker()
    {
        var servers = new OwnServers();
        try
        {
            await servers.StartAsync();
            await using (var connection = await new ConnectionFactory { Uri = servers.Broker }.CreateConnectionAsync())
            await using (var channel = await connection.CreateChannelAsync())
            {
                await channel.ExchangeDeclareAsync("Pulse.EndToEnd.Messaging:Deposited", "fanout", durable: true, autoDelete: false);
                await channel.QueueDeclareAsync("listener", durable: true, exclusive: false, autoDelete: false);
                await channel.QueueBindAsync("listener", "Pulse.EndToEnd.Messaging:Deposited", "");
            }

            Assert.Equal(Clean, await BrokerDiesAsync(servers, Mutant.None));
            Assert.Equal(Clean with { Lost = 20 }, await BrokerDiesAsync(servers, new PublishesNonPersistent()));
        }
        finally
        {
            await servers.StopAsync();
        }
    }

    static async Task<Reckoning> BrokerDiesAsync(OwnServers servers, Mutant mutant)
    {
        await using (await Node.StartAsync(servers.Postgres, servers.Broker, register: _ => { }, atPoint: null, mutant))
        {
            await servers.PublishAsync([.. Enumerable.Range(0, 20).Select(_ => Deposit)]);
            await Eventually.Until(
                async () => await servers.AskAsync<long>("select count(*) from messaging.outbox") == 0, TimeSpan.FromSeconds(30), "the broker confirmed them");
        }

        await servers.KillAsync("rabbitmq");
        await servers.RestartAsync("rabbitmq");

        await using var connection = await new ConnectionFactory { Uri = servers.Broker }.CreateConnectionAsync();
        await using var channel = await connection.CreateChannelAsync();
        var kept = (int)await channel.QueuePurgeAsync("listener");
        return new Reckoning(Lost: 20 - kept, Repeated: 0);
    }

    static Deposited Deposit => new() { Account = Guid.NewGuid() };

    /// <summary>What became of one message.</summary>
    sealed record Reckoning(int Lost, int Repeated);

    /// <param name="scenario">Publishes the deposit, lets happen what may, and returns the node that is left.</param>
    static async Task<Reckoning> OnBedAsync(Func<Bed, Deposited, Task<Node>> scenario)
    {
        var bed = new Bed();
        try
        {
            await bed.InitializeAsync();
            var deposit = Deposit;
            await using (await scenario(bed, deposit))
            {
                // When the first one is through the relay has come by whatever was there before it; when the second one is, the queue has
                // given out all that it had before that. What is then still at work is waited for by the node's stop.
                await PublishedBehindIsConsumedAsync(bed);
                await PublishedBehindIsConsumedAsync(bed);
            }

            var stored = (int)await StoredAsync(bed, deposit);
            return new Reckoning(Lost: stored == 0 ? 1 : 0, Repeated: Math.Max(0, stored - 1));
        }
        finally
        {
            await bed.DisposeAsync();
        }
    }

    static async Task PublishedBehindIsConsumedAsync(Bed bed)
    {
        var marker = Deposit;
        await bed.PublishAsync(marker);
        await Eventually.Until(async () => await StoredAsync(bed, marker) > 0, TimeSpan.FromSeconds(30), "the message behind it was consumed");
    }

    static Task<long> StoredAsync(Bed bed, Deposited deposit) =>
        bed.Postgres.AskAsync<long>("select count(*) from bed.deposits where account = $1", deposit.Account);
}
