using Pulse.Messaging;
using Pulse.Testing;

namespace Pulse.EndToEnd.Messaging;

/// <summary>One effect for each message, whatever is delivered how often.</summary>
public sealed class ExactlyOnceTests : IAsyncLifetime
{
    readonly Bed _bed = new();

    public Task InitializeAsync() => _bed.InitializeAsync();

    public Task DisposeAsync() => _bed.DisposeAsync();

    static Deposited Deposit => new() { Account = Guid.NewGuid() };

    [Fact]
    public async Task A_message_has_its_effect_and_its_event_once()
    {
        var node = await _bed.StartAsync();
        await _bed.PublishAsync(Deposit);

        await Eventually.Until(() => node.Script.FollowUps == 1, TimeSpan.FromSeconds(20), "the event was consumed");
        await _bed.DrainedAsync();
        Assert.Equal(1, await _bed.DepositsAsync());
        Assert.Equal(2, await _bed.InboxAsync());
    }

    [Fact]
    public async Task The_inbox_knows_a_consumer_by_the_name_of_its_endpoint()
    {
        var node = await _bed.StartAsync();
        await _bed.PublishAsync(Deposit);

        await Eventually.Until(() => node.Script.FollowUps == 1, TimeSpan.FromSeconds(20), "the event was consumed");
        Assert.Equal("deposits,follow-ups", await _bed.Postgres.AskAsync<string>("select string_agg(consumer_id, ',' order by consumer_id) from messaging.inbox"));
    }

    [Fact]
    public async Task A_duplicate_is_acknowledged_and_does_nothing()
    {
        await _bed.PublishAsync(Deposit);
        await _bed.DuplicateOutboxAsync();
        await _bed.DuplicateOutboxAsync();
        var node = await _bed.StartAsync();

        await _bed.DrainedAsync();
        // Another message behind the duplicates: when it is through, so are they.
        await _bed.PublishAsync(Deposit);
        await Eventually.Until(() => node.Script.FollowUps == 2, TimeSpan.FromSeconds(20), "the second message was consumed");
        await Eventually.Until(async () => await _bed.Broker.ReadyAsync("deposits") == 0, TimeSpan.FromSeconds(20), "the queue drained");
        Assert.Equal(2, await _bed.DepositsAsync());
        Assert.Equal(2, node.Script.Deliveries);
        Assert.Null(await _bed.Broker.ReadyAsync("deposits_skipped"));
    }

    [Fact]
    public async Task A_duplicate_on_another_node_waits_for_the_first_and_does_nothing()
    {
        var first = await _bed.StartAsync();
        var second = await _bed.StartAsync();
        var hold = new TaskCompletionSource();
        first.Script.AfterWork = (_, _) => hold.Task;
        second.Script.AfterWork = (_, _) => hold.Task;
        await _bed.PublishAsync(Deposit);
        await _bed.DuplicateOutboxAsync();

        // The second stands in its insert into the inbox, behind the first's transaction.
        await Eventually.Until(
            async () => await _bed.Postgres.AskAsync<long>("select count(*) from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database() and query like '%messaging.inbox%'") == 1,
            TimeSpan.FromSeconds(20), "the duplicate waits");
        hold.SetResult();

        await Eventually.Until(() => first.Script.FollowUps + second.Script.FollowUps == 1, TimeSpan.FromSeconds(20), "the event was consumed");
        await Eventually.Until(async () => await _bed.Broker.ReadyAsync("deposits") == 0, TimeSpan.FromSeconds(20), "the queue drained");
        Assert.Equal(1, await _bed.DepositsAsync());
        Assert.Equal(1, first.Script.Deliveries + second.Script.Deliveries);
    }

    [Fact]
    public async Task A_duplicate_takes_the_place_of_a_first_that_is_rolled_back()
    {
        var first = await _bed.StartAsync();
        var second = await _bed.StartAsync();
        var hold = new TaskCompletionSource();
        var deliveries = 0;
        Func<MassTransit.ConsumeContext, int, Task> failTheFirst = async (_, _) =>
        {
            var mine = Interlocked.Increment(ref deliveries);
            await hold.Task;
            if (mine == 1)
                throw new UnprocessableMessageException("The first is rolled back.");
        };
        first.Script.AfterWork = failTheFirst;
        second.Script.AfterWork = failTheFirst;
        await _bed.PublishAsync(Deposit);
        await _bed.DuplicateOutboxAsync();

        await Eventually.Until(
            async () => await _bed.Postgres.AskAsync<long>("select count(*) from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database() and query like '%messaging.inbox%'") == 1,
            TimeSpan.FromSeconds(20), "the duplicate waits");
        hold.SetResult();

        await Eventually.Until(() => first.Script.FollowUps + second.Script.FollowUps == 1, TimeSpan.FromSeconds(20), "the event was consumed");
        Assert.Equal(1, await _bed.DepositsAsync());
    }

    [Fact]
    public async Task A_consumer_that_only_defers_has_its_effect_once_however_often_it_runs()
    {
        await _bed.PublishAsync(Deposit, Deposit);
        await _bed.DuplicateOutboxAsync();
        await _bed.DuplicateOutboxAsync();
        var node = await _bed.StartAsync(Node.DeferredDeposits);
        // None commits before all have run: what is decided is decided by the inbox's key.
        var all = new TaskCompletionSource();
        node.Script.AfterWork = (_, delivery) =>
        {
            if (delivery == 8)
                all.SetResult();
            return all.Task;
        };

        await Eventually.Until(() => node.Script.FollowUps == 2, TimeSpan.FromSeconds(20), "the events were consumed");
        await Eventually.Until(async () => await _bed.Broker.ReadyAsync("deposits") == 0, TimeSpan.FromSeconds(20), "the queue drained");
        await _bed.DrainedAsync();
        Assert.Equal(2, await _bed.DepositsAsync());
        Assert.Equal(4, await _bed.InboxAsync());
        Assert.Null(await _bed.Broker.ReadyAsync("deposits_error"));
        Assert.Null(await _bed.Broker.ReadyAsync("deposits_skipped"));
    }

    [Fact]
    public async Task A_deferred_statement_that_fails_takes_the_inbox_row_with_it()
    {
        var node = await _bed.StartAsync(Node.DeferredDeposits);
        node.Script.AfterWork = (context, delivery) =>
        {
            if (delivery == 1)
                context.Transaction().Defer(new Npgsql.NpgsqlBatchCommand("select 1/0"));
            return Task.CompletedTask;
        };
        await _bed.PublishAsync(Deposit);

        await Eventually.Until(() => node.Script.FollowUps == 1, TimeSpan.FromSeconds(20), "it was tried again");
        Assert.Equal(2, node.Script.Deliveries);
        Assert.Equal(1, await _bed.DepositsAsync());
    }

    [Fact]
    public async Task A_message_whose_statement_fails_costs_those_in_its_group_nothing()
    {
        var broken = Deposit;
        var node = await _bed.StartAsync(Node.DeferredDeposits);
        // All eight are ready to be committed at one moment.
        var all = new TaskCompletionSource();
        node.Script.AfterWork = (context, delivery) =>
        {
            if (((MassTransit.ConsumeContext<Deposited>)context).Message == broken)
                context.Transaction().Defer(new Npgsql.NpgsqlBatchCommand("select 1/0"));
            if (delivery == 8)
                all.SetResult();
            return all.Task;
        };
        await _bed.PublishAsync([broken, .. Enumerable.Range(0, 7).Select(_ => Deposit)]);

        await Eventually.Until(async () => await _bed.Broker.ReadyAsync("deposits_error") == 1, TimeSpan.FromSeconds(20), "the broken one was dead-lettered");
        await Eventually.Until(() => node.Script.FollowUps == 7, TimeSpan.FromSeconds(20), "the others' events were consumed");
        Assert.Equal(7, await _bed.DepositsAsync());
        Assert.Equal(0, await _bed.Postgres.AskAsync<long>("select count(*) from bed.deposits where account = $1", broken.Account));
        // Seven, and the broken one's two tries, for data that no waiting mends: nobody else was run again.
        Assert.Equal(9, node.Script.Deliveries);
    }

    [Fact]
    public async Task A_consumer_that_fails_leaves_nothing_behind_but_its_dead_letter()
    {
        var node = await _bed.StartAsync();
        node.Script.AfterWork = (_, _) => throw new UnprocessableMessageException("Never.");
        await _bed.PublishAsync(Deposit);

        await Eventually.Until(async () => await _bed.Broker.ReadyAsync("deposits_error") == 1, TimeSpan.FromSeconds(20), "it was dead-lettered");
        Assert.Equal(1, node.Script.Deliveries);
        Assert.Equal(0, await _bed.DepositsAsync());
        Assert.Equal(0, await _bed.InboxAsync());
        Assert.Equal(0, await _bed.OutboxAsync());
    }

    [Fact]
    public async Task A_failure_is_tried_again_at_once_and_then_through_the_scheduler()
    {
        var node = await _bed.StartAsync();
        // Two tries at once, two after the first delay, and the fifth succeeds.
        node.Script.AfterWork = (_, delivery) => delivery < 5 ? throw new InvalidOperationException("Not yet.") : Task.CompletedTask;
        await _bed.PublishAsync(Deposit);

        await Eventually.Until(() => node.Script.FollowUps == 1, TimeSpan.FromSeconds(20), "it succeeded at last");
        await _bed.DrainedAsync();
        Assert.Equal(5, node.Script.Deliveries);
        Assert.Equal(1, await _bed.DepositsAsync());
        Assert.Null(await _bed.Broker.ReadyAsync("deposits_error"));
    }

    [Fact]
    public async Task A_failure_that_no_delay_mends_is_dead_lettered()
    {
        var node = await _bed.StartAsync();
        node.Script.AfterWork = (_, _) => throw new InvalidOperationException("Never.");
        await _bed.PublishAsync(Deposit);

        await Eventually.Until(async () => await _bed.Broker.ReadyAsync("deposits_error") == 1, TimeSpan.FromSeconds(20), "it was dead-lettered");
        Assert.Equal(6, node.Script.Deliveries);
        Assert.Equal(0, await _bed.OutboxAsync());
    }

    [Fact]
    public async Task A_swallowed_database_error_can_not_turn_the_commit_into_a_silent_rollback()
    {
        var node = await _bed.StartAsync(Node.QuietDeposits);
        node.Script.AfterWork = async (context, delivery) =>
        {
            if (delivery > 1)
                return;

            try
            {
                await using var broken = new Npgsql.NpgsqlCommand("select 1/0", await context.Transaction().OpenAsync());
                await broken.ExecuteNonQueryAsync();
            }
            catch (Npgsql.PostgresException)
            {
                // As careless code does.
            }
        };
        await _bed.PublishAsync(Deposit);

        await Eventually.Until(async () => await _bed.DepositsAsync() == 1, TimeSpan.FromSeconds(20), "it was tried again");
        Assert.Equal(2, node.Script.Deliveries);
    }
}
