using global::Pulse.StripeDouble.Api;
using Pulse.Contracts.Lifecycle;

namespace Pulse.Tests.Lifecycle;

/// <summary>What Stripe is told of a deletion, and of a restore.</summary>
public sealed class DeletionSyncTests(LifecycleBed bed) : IClassFixture<LifecycleBed>, IAsyncLifetime
{
    Guid _org;
    string _customer = "";

    public async Task InitializeAsync()
    {
        bed.Billing.Stripe.Faults.Clear();
        _org = await bed.TenantAsync();
        _customer = bed.Billing.Stripe.Account.CreateCustomer().Id;
        await bed.Postgres.RunAsync(
            "insert into pulse.stripe_customers (customer_id, org_id, linked_at, linked_by, created_at) values ($1, $2, $3, 'metadata', $3)", _customer, _org, bed.Clock.GetUtcNow().UtcDateTime);
    }

    public Task DisposeAsync() => Task.CompletedTask;

    bool EndsWithItsPeriod(string subscription) =>
        bed.Billing.Stripe.Account.SubscriptionsOf(_customer).Single(one => one.Id == subscription).CancelAtPeriodEnd;

    [Fact]
    public async Task A_deletion_ends_subscriptions_with_their_period_and_a_restore_takes_that_back_but_nothing_that_was_not_its_doing()
    {
        await using var worker = bed.Worker();
        var account = bed.Billing.Stripe.Account;
        var (going, cancelled, ended) = (account.Subscribe(_customer, "price_basic").Id, account.Subscribe(_customer, "price_basic").Id, account.Subscribe(_customer, "price_basic").Id);
        account.CancelAtPeriodEnd(cancelled);
        account.Cancel(ended);

        await bed.AskAsync("soft-delete", _org);
        await worker.DrainAsync();
        Assert.True(EndsWithItsPeriod(going));

        await bed.AskAsync("restore", _org);
        await worker.DrainAsync();
        Assert.False(EndsWithItsPeriod(going));
        Assert.True(EndsWithItsPeriod(cancelled));
        Assert.Equal("canceled", account.SubscriptionsOf(_customer).Single(one => one.Id == ended).Status);
        Assert.Equal("active", await bed.StatusAsync(_org));
    }

    [Fact]
    public async Task A_word_that_is_lost_or_repeated_is_the_same_word_by_its_key()
    {
        await using var worker = bed.Worker();
        var account = bed.Billing.Stripe.Account;
        var going = account.Subscribe(_customer, "price_basic").Id;
        var before = account.History(_customer).Count;
        await bed.AskAsync("soft-delete", _org);
        foreach (var _ in Enumerable.Range(0, 4))
        {
            // Done at Stripe, and the process dies before it is known here.
            foreach (var message in await worker.WaitingAsync())
            {
                await worker.DeliverAsync(message, Fate.DiesBeforeCommit);
                await worker.DeliverAsync(message);
            }
        }

        Assert.True(EndsWithItsPeriod(going));
        var deletion = await bed.Postgres.AskAsync<Guid>("select deletion_id from pulse.organizations where org_id = $1", _org);
        var told = Assert.Single(account.History(_customer).Skip(before));
        Assert.Equal($"deletion:{deletion}:cancel:{going}", told.IdempotencyKey);
    }

    [Fact]
    public async Task While_Stripe_is_away_it_is_asked_again_and_the_purge_of_somebody_who_would_be_charged_for_ever_waits()
    {
        await using var worker = bed.Worker();
        var going = bed.Billing.Stripe.Account.Subscribe(_customer, "price_basic").Id;
        bed.Billing.Stripe.Faults.Add(new global::Pulse.StripeDouble.Api.Fault(FaultKind.Error) { Status = 503 });
        await bed.PurgeAsync(worker, _org);
        foreach (var _ in Enumerable.Range(0, 5))
        {
            bed.Clock.Advance(TimeSpan.FromMinutes(5));
            await worker.DrainAsync();
        }

        Assert.Equal("billing", await bed.Postgres.AskAsync<string>("select waiting from pulse.purges where org_id = $1", _org));
        Assert.False(EndsWithItsPeriod(going));

        bed.Billing.Stripe.Faults.Clear();
        bed.Clock.Advance(TimeSpan.FromHours(2));
        await worker.DrainAsync();
        bed.Clock.Advance(TimeSpan.FromHours(2));
        await worker.DrainAsync();
        Assert.True(EndsWithItsPeriod(going));
        Assert.Equal("purged", await bed.StatusAsync(_org));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Whichever_comes_first_the_restore_has_the_last_word(bool planned)
    {
        await using var worker = bed.Worker();
        var going = bed.Billing.Stripe.Account.Subscribe(_customer, "price_basic").Id;
        await bed.AskAsync("soft-delete", _org);
        await worker.DeliverAsync(Assert.Single(await worker.WaitingAsync()));
        if (planned)
            await worker.DeliverAsync((await worker.WaitingAsync()).Single(message => message.Exchange.EndsWith(nameof(CancelSubscriptions), StringComparison.Ordinal)));
        var late = (await worker.WaitingAsync()).Where(message => message.Exchange.EndsWith(nameof(CancelSubscriptions), StringComparison.Ordinal)).ToList();
        Assert.Single(late);
        await bed.AskAsync("restore", _org);
        for (var round = 0; round < 3; round++)
        {
            foreach (var message in (await worker.WaitingAsync()).Where(message => late.TrueForAll(one => one.Id != message.Id)))
                await worker.DeliverAsync(message);
        }

        await worker.DrainAsync();
        Assert.False(EndsWithItsPeriod(going));
    }

    [Fact]
    public async Task A_subscription_that_ended_meanwhile_holds_nothing_up()
    {
        await using var worker = bed.Worker();
        var account = bed.Billing.Stripe.Account;
        var going = account.Subscribe(_customer, "price_basic").Id;
        await bed.AskAsync("soft-delete", _org);
        await worker.DrainAsync();
        account.Cancel(going);
        await bed.AskAsync("restore", _org);
        await worker.DrainAsync();

        Assert.Equal("canceled", account.SubscriptionsOf(_customer).Single().Status);
        Assert.NotEqual("", await bed.Postgres.AskAsync<string>("select coalesce(resumed_at::text, '') from pulse.stripe_deletions where org_id = $1", _org));
    }
}
