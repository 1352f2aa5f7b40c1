using Npgsql;
using Pulse.Catalog;
using Pulse.Worker.Billing;

namespace Pulse.Tests.Billing;

/// <summary>
/// A worker dies between any two statements of an event's handling: the broker delivers the message again, and whoever takes it comes to the
/// same end. The points of the fetch that follows are <see cref="SyncTests"/>'.
/// </summary>
public sealed class IntakeCrashTests(SyncBed bed) : IClassFixture<SyncBed>
{
    /// <summary>An event that tells whom it is about.</summary>
    [Theory]
    [InlineData("event: before read")]
    [InlineData("event: after read")]
    [InlineData("event: before mark")]
    [InlineData("event: after mark")]
    [InlineData("before commit")]
    [InlineData("after commit")]
    public async Task Of_a_customer(string point)
    {
        var (customer, org) = await CustomerAsync();
        bed.Stripe.Account.Subscribe(customer, "price_basic");
        var events = bed.EventsOf(customer);

        var clock = new TestClock();
        await DieAsync(clock, events[0], point);
        var next = bed.Worker(clock);
        foreach (var happened in events)
            await next.DeliverAsync(happened);
        await next.DrainAsync();

        await EndedAsync(next, customer, org);
        // No mark is lost. The broker's inbox is not here: what had been committed is marked once more, and fetched no more often for it.
        Assert.Equal(events.Count + (point == "after commit" ? 1 : 0), await DirtyAsync(customer));
    }

    /// <summary>A thin event: whom it is about, Stripe has to be asked.</summary>
    [Theory]
    [InlineData("event: after fetch")]
    [InlineData("event: before mark")]
    [InlineData("event: after mark")]
    [InlineData("before commit")]
    [InlineData("after commit")]
    public async Task Of_an_object_that_Stripe_is_asked_for(string point)
    {
        var (customer, org) = await CustomerAsync();
        var subscription = bed.Stripe.Account.Subscribe(customer, "price_basic").Id;
        var thin = bed.EventsOf(customer).First(happened => happened.Type == "customer.subscription.created").Thin("subscription", subscription);

        var clock = new TestClock();
        await DieAsync(clock, thin, point);
        var next = bed.Worker(clock);
        await next.DeliverAsync(thin);
        await next.DrainAsync();

        await EndedAsync(next, customer, org);
        Assert.Equal("applied", await bed.EventStatusAsync(thin.Id));
    }

    /// <summary>What is sold changes: everybody who has it is fetched again, a batch to a transaction.</summary>
    [Theory]
    [InlineData("event: before commit of the sold")]
    [InlineData("event: after commit of the sold")]
    [InlineData("before commit")]
    [InlineData("after commit")]
    public async Task Of_a_price(string point)
    {
        var price = $"price_{Guid.NewGuid():N}";
        var plans = new Plans([new Plan { PlanVersion = "one", Prices = [price], Capabilities = ["reports"] }]);
        var clock = new TestClock();
        var first = bed.Worker(clock, plans: plans);
        var all = new List<(string Customer, Guid Org)>();
        for (var number = 0; number < 3; number++)
        {
            var (customer, org) = await CustomerAsync();
            bed.Stripe.Account.Subscribe(customer, price);
            foreach (var happened in bed.EventsOf(customer))
                await first.DeliverAsync(happened);
            all.Add((customer, org));
        }

        await first.DrainAsync();
        var dirty = await DirtyAsync(all[0].Customer);
        var told = new State.Happened(
            $"evt_{Guid.NewGuid():N}", $"evt_{Guid.NewGuid():N}", "price.updated", false, clock.GetUtcNow(),
            System.Text.Encoding.UTF8.GetBytes($$"""{"object":"event","data":{"object":{"object":"price","id":"{{price}}"} } }"""));

        await DieAsync(clock, told, point);
        var next = bed.Worker(clock, plans: plans);
        var handled = await next.DeliverAsync(told);
        await next.PumpAsync();
        await next.DrainAsync();

        Assert.Equal("applied", await bed.EventStatusAsync(told.Id));
        Assert.Equal(point == "after commit" ? "repeat" : "marked", handled.Outcome);
        foreach (var (customer, _) in all)
        {
            // Once, or twice where it had been committed before the death; and in step again either way.
            Assert.InRange(await DirtyAsync(customer), dirty + 1, dirty + 2);
            Assert.True(await bed.AskAsync<bool>("select dirty = synced from pulse.stripe_customers where customer_id = $1", customer));
        }
    }

    async Task<(string Customer, Guid Org)> CustomerAsync()
    {
        var org = await bed.OrgAsync();
        return (bed.Stripe.Account.CreateCustomer(orgId: org.ToString()).Id, org);
    }

    Task<long> DirtyAsync(string customer) => bed.AskAsync<long>("select dirty from pulse.stripe_customers where customer_id = $1", customer);

    async Task EndedAsync(SyncWorker worker, string customer, Guid org)
    {
        Assert.Equal("active", await bed.StateAsync(org));
        Assert.Null(await worker.DivergenceAsync(customer, org));
        Assert.Equal(0, await bed.AskAsync<long>("select count(*) from pulse.stripe_events where customer_id = $1 and status <> 'applied'", customer));
        // One change, whatever happened on the way.
        Assert.Equal(2, await bed.AskAsync<long>("select version from pulse.billing_states where org_id = $1", org));
    }

    // The worker gets as far as the point and no further; its connection goes, and with it whatever it had not committed.
    async Task DieAsync(TestClock clock, State.Happened happened, string point)
    {
        var reached = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var dying = bed.Worker(clock, new SyncOptions { AtPoint = at => at == point ? NeverAsync() : Task.CompletedTask });
        await bed.ReceiveAsync(happened, clock.GetUtcNow());

        var connection = await bed.Data.OpenConnectionAsync();
        var transaction = await connection.BeginTransactionAsync();
        var handling = Task.Run(async () =>
        {
            var outcome = await dying.Intake.HandleAsync(happened.Id, _ => ValueTask.FromResult(connection), CancellationToken.None);
            if (outcome.Deferred is { } command)
            {
                await using var batch = new NpgsqlBatch(connection) { BatchCommands = { command } };
                await batch.ExecuteNonQueryAsync();
            }

            if (point == "before commit")
                await NeverAsync();
            await transaction.CommitAsync();
            await NeverAsync();
        });
        await Task.WhenAny(reached.Task, handling).WaitAsync(TimeSpan.FromSeconds(30));
        Assert.False(handling.IsCompleted, handling.Exception?.ToString());
        await connection.CloseAsync();
        // That of the sold has a connection of its own.
        await bed.RunSqlAsync("select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and state = 'idle in transaction'");

        Task NeverAsync()
        {
            reached.TrySetResult();
            return new TaskCompletionSource().Task;
        }
    }
}
