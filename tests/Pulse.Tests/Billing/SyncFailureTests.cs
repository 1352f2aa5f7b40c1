using global::Pulse.StripeDouble.Api;
using Pulse.Catalog;
using Pulse.Worker.Billing;
using Fault = global::Pulse.StripeDouble.Api.Fault;

namespace Pulse.Tests.Billing;

/// <summary>One customer kept in step while Stripe does not answer, workers die, and events come in bursts.</summary>
public sealed class SyncFailureTests(SyncBed bed) : IClassFixture<SyncBed>
{
    [Theory]
    [InlineData(FaultKind.RateLimit)]
    [InlineData(FaultKind.Error)]
    [InlineData(FaultKind.Reset)]
    public async Task What_Stripe_does_not_answer_is_caught_up_with_later_and_never_lost(FaultKind kind)
    {
        var (worker, customer, org) = await bed.BeginAsync();
        bed.Stripe.Account.Subscribe(customer, "price_basic");
        bed.Stripe.Faults.Add(new Fault(kind) { Route = "/v1/subscriptions", Times = 5, RetryAfter = kind is FaultKind.RateLimit ? 60 : null });
        var began = worker.Clock.GetUtcNow();
        try
        {
            await bed.DeliverAllAsync(worker, customer);
            var first = await worker.SyncAsync(worker.Next()!);
            Assert.Equal(SyncEnd.PutOff, first.End);
            if (kind is FaultKind.RateLimit)
                Assert.True(first.Timer - began >= TimeSpan.FromSeconds(60));

            await worker.DrainAsync();
        }
        finally
        {
            bed.Stripe.Faults.Clear();
        }

        Assert.Equal("active", await bed.StateAsync(org));
        Assert.Null(await worker.DivergenceAsync(customer, org));
    }

    [Fact]
    public async Task An_answer_that_takes_too_long_is_asked_for_again()
    {
        var clock = new TestClock();
        var worker = bed.Worker(clock, stripe: bed.Account(), options: new SyncOptions { FetchWithin = TimeSpan.FromMilliseconds(200) });
        var org = await bed.OrgAsync();
        var customer = bed.Stripe.Account.CreateCustomer(orgId: org.ToString()).Id;
        bed.Stripe.Account.Subscribe(customer, "price_basic");
        bed.Stripe.Faults.Add(new Fault(FaultKind.Hang) { Route = "/v1/invoices", Times = 2 });

        await bed.DeliverAllAsync(worker, customer);
        await worker.DrainAsync();

        Assert.Equal("active", await bed.StateAsync(org));
    }

    [Fact]
    public async Task A_key_that_is_refused_puts_everything_off_and_is_nowhere_to_be_read()
    {
        const string key = "sk_test_wrongwrongwrong";
        var worker = bed.Worker(new TestClock(), stripe: bed.Account(key));
        var (_, customer, org) = await bed.BeginAsync();
        bed.Stripe.Account.Subscribe(customer, "price_basic");
        await bed.DeliverAllAsync(worker, customer);

        var outcome = await worker.SyncAsync(worker.Next()!);

        Assert.Equal((SyncEnd.PutOff, "refused"), (outcome.End, outcome.Fetch));
        Assert.Equal("trial", await bed.StateAsync(org));
        Assert.DoesNotContain(key, bed.Account(key).ToString()!, StringComparison.Ordinal);
        Assert.NotNull(outcome.Timer);
    }

    [Fact]
    public async Task A_price_that_no_plan_has_is_a_dead_letter_and_applied_once_the_plan_is_there()
    {
        var (worker, customer, org) = await bed.BeginAsync();
        bed.Stripe.Account.Subscribe(customer, "price_new");
        await bed.DeliverAllAsync(worker, customer);

        var unknown = await Assert.ThrowsAsync<UnknownPriceException>(() => worker.SyncAsync(customer));
        Assert.Equal("price_new", unknown.PriceId);
        Assert.Equal("unknown_price price_new", await bed.ProblemAsync(customer));
        Assert.Equal("trial", await bed.StateAsync(org));
        Assert.True(await bed.AskAsync<bool>("select lease_until is null and dirty > synced from pulse.stripe_customers where customer_id = $1", customer));

        // The file is mended, and the message replayed.
        var mended = bed.Worker(worker.Clock, plans: new Plans([new Plan { PlanVersion = "new", Prices = ["price_new"] }]));
        await mended.SyncAsync(customer);

        Assert.Null(await bed.ProblemAsync(customer));
        Assert.Equal("active", await bed.StateAsync(org));
    }

    [Fact]
    public async Task A_burst_of_twenty_events_costs_two_fetches()
    {
        var (worker, customer, org) = await bed.BeginAsync();
        var subscription = bed.Stripe.Account.Subscribe(customer, "price_basic").Id;
        await bed.DeliverAllAsync(worker, customer);
        await worker.DrainAsync();
        ((TestClock)worker.Clock).Advance(TimeSpan.FromSeconds(1));
        bed.Stripe.Requests.Reset();

        var fetches = 0;
        for (var change = 0; change < 20; change++)
        {
            bed.Stripe.Account.ChangePrice(subscription, change % 2 == 0 ? "price_pro" : "price_basic");
            await worker.DeliverAsync(bed.EventsOf(customer)[^1]);
            // 10 ms apart, each consumed at once.
            ((TestClock)worker.Clock).Advance(TimeSpan.FromMilliseconds(10));
            worker.Fire();
            while (worker.Next() is { } message)
                fetches += (await worker.SyncAsync(message)).Fetch is null ? 0 : 1;
        }

        fetches += await worker.DrainAsync();
        Assert.Equal(2, fetches);
        Assert.Null(await worker.DivergenceAsync(customer, org));
    }

    [Theory]
    [InlineData("sync: before lease")]
    [InlineData("sync: after lease")]
    [InlineData("sync: before fetch")]
    [InlineData("sync: after fetch")]
    [InlineData("sync: before store")]
    [InlineData("sync: after store")]
    [InlineData("sync: after recompute")]
    [InlineData("before commit")]
    [InlineData("after commit")]
    public async Task A_worker_that_dies_between_any_two_statements_of_a_sync_is_followed_by_one_that_comes_to_the_same_end(string point)
    {
        var clock = new TestClock();
        var reached = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var org = await bed.OrgAsync();
        var customer = bed.Stripe.Account.CreateCustomer(orgId: org.ToString()).Id;
        bed.Stripe.Account.Subscribe(customer, "price_basic");
        var dying = bed.Worker(clock, new SyncOptions { AtPoint = at => at == point ? NeverAsync() : Task.CompletedTask });
        await bed.DeliverAllAsync(dying, customer);

        // Its connection goes, and with it whatever it had not committed; the broker delivers again what was not acknowledged.
        var connection = await bed.Data.OpenConnectionAsync();
        var transaction = await connection.BeginTransactionAsync();
        var sync = Task.Run(async () =>
        {
            await dying.Sync.RunAsync(customer, _ => ValueTask.FromResult(connection), CancellationToken.None);
            if (point == "before commit")
                await NeverAsync();
            await transaction.CommitAsync();
            await NeverAsync();
        });
        await Task.WhenAny(reached.Task, sync).WaitAsync(TimeSpan.FromSeconds(30));
        Assert.False(sync.IsCompleted, sync.Exception?.ToString());
        await connection.CloseAsync();

        var next = bed.Worker(clock);
        next.Publish(customer);
        await next.DrainAsync();

        Assert.Equal("active", await bed.StateAsync(org));
        Assert.Null(await next.DivergenceAsync(customer, org));
        Assert.Equal(0, await bed.AskAsync<long>("select count(*) from pulse.stripe_events where customer_id = $1 and status <> 'applied'", customer));
        Assert.Equal(2, await bed.AskAsync<long>("select version from pulse.billing_states where org_id = $1", org));

        Task NeverAsync()
        {
            reached.TrySetResult();
            return new TaskCompletionSource().Task;
        }
    }

    [Fact]
    public async Task Whoever_finds_a_customer_held_leaves_a_timer_at_the_end_of_the_lease_and_no_second_one()
    {
        var (worker, customer, org) = await bed.BeginAsync();
        bed.Stripe.Account.Subscribe(customer, "price_basic");
        await bed.DeliverAllAsync(worker, customer);
        // A worker takes it, and is never seen again.
        await StripeCustomerTable.LeaseAsync(bed.Data, customer, worker.Clock.GetUtcNow(), worker.Options, CancellationToken.None);

        var first = await worker.SyncAsync(customer);
        var second = await worker.SyncAsync(customer);

        Assert.Equal((SyncEnd.Waiting, worker.Clock.GetUtcNow() + worker.Options.Lease), (first.End, first.Timer));
        Assert.Equal((SyncEnd.Waiting, null), (second.End, second.Timer));
        await worker.DrainAsync();
        Assert.Equal("active", await bed.StateAsync(org));
    }
}
