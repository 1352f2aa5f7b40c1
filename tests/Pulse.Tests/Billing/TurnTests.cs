using FsCheck;
using FsCheck.Fluent;
using Pulse.Worker.Billing;

namespace Pulse.Tests.Billing;

/// <summary>Many customers behind, and Stripe asked no faster than it may be: all get their turn, and none counts it as a failure.</summary>
public sealed class TurnTests : IAsyncLifetime
{
    readonly SyncBed _bed = new();

    public Task InitializeAsync() => _bed.InitializeAsync();

    public Task DisposeAsync() => _bed.DisposeAsync();

    [Fact]
    public async Task A_backlog_is_worked_off_as_fast_as_Stripe_may_be_asked()
    {
        const int customers = 100;
        const int perSecond = 20;
        var clock = new TestClock();
        // Hardly anybody waits, in real time, for a turn that is near: who has none comes back.
        var worker = _bed.Worker(clock, stripe: _bed.Account(rate: perSecond, longestTurn: TimeSpan.FromMilliseconds(50)), rateClock: clock);
        for (var number = 0; number < customers; number++)
        {
            var org = await _bed.OrgAsync();
            var customer = _bed.Stripe.Account.CreateCustomer(orgId: org.ToString()).Id;
            _bed.Stripe.Account.Subscribe(customer, "price_basic");
            await worker.DeliverAsync(_bed.EventsOf(customer)[^1]);
        }

        // A success would forget a failure again: so none may be written at all.
        await _bed.RunSqlAsync("alter table pulse.stripe_customers add check (failures = 0)");
        var began = clock.GetUtcNow();
        Assert.Equal(customers, await worker.DrainAsync());

        // Five seconds are what they need, but for the burst; the last few find each other in the way.
        Assert.InRange(clock.GetUtcNow() - began, TimeSpan.FromSeconds(4), TimeSpan.FromSeconds(15));
        Assert.Equal(0, await _bed.AskAsync<long>("select count(*) from pulse.stripe_customers where dirty > synced"));
        Assert.Equal(customers, await _bed.AskAsync<long>("select count(*) from pulse.billing_states where subscription_state = 'active'"));
    }
}

/// <summary>How long a customer is let be.</summary>
public sealed class SettleTests
{
    static readonly SyncOptions Options = new();
    static readonly DateTimeOffset Noon = new(2026, 11, 21, 12, 0, 0, TimeSpan.Zero);

    [Fact]
    public void A_customer_that_was_never_fetched_is_let_be_for_the_least() => Assert.Equal(Options.Settle, SyncRules.Settle(null, null, Noon, Options));

    [Fact]
    public void A_fetch_long_after_the_last_one_begins_anew() =>
        Assert.Equal(Options.Settle, SyncRules.Settle(Noon, Noon + Options.SettleMost, Noon + (3 * Options.SettleMost), Options));

    [Fact]
    public void It_is_never_shorter_than_the_least_nor_longer_than_the_most() => Prop.ForAll((int fetched, int until, int now) =>
    {
        var settle = SyncRules.Settle(Noon.AddMilliseconds(fetched), Noon.AddMilliseconds(until), Noon.AddMilliseconds(now), Options);
        return settle >= Options.Settle && settle <= Options.SettleMost;
    }).QuickCheckThrowOnFailure();

    [Fact]
    public void However_long_a_burst_lasts_each_fetch_sees_more_of_it()
    {
        var (at, fetched, until) = (Noon, (DateTimeOffset?)null, (DateTimeOffset?)null);
        var fetches = new List<TimeSpan>();
        // Somebody is always waiting, so it is fetched as soon as it may be.
        while (at < Noon.AddSeconds(6))
        {
            fetches.Add(at - Noon);
            var settle = SyncRules.Settle(fetched, until, at, Options);
            (fetched, until) = (at, at + settle);
            at += settle;
        }

        Assert.Equal([0, 0.25, 1.25, 2.75, 4.25, 5.75], fetches.Select(fetch => fetch.TotalSeconds));
    }

    [Fact]
    public void A_next_turn_is_within_what_all_who_wait_need() => Prop.ForAll((ushort behind, byte perSecond, ushort chance) =>
    {
        var share = chance / (double)ushort.MaxValue;
        var wait = SyncRules.NextTurn(behind, perSecond + 1, share, TimeSpan.FromSeconds(2));
        return wait >= TimeSpan.FromSeconds(1) && wait <= TimeSpan.FromSeconds(1.001 + (behind / (perSecond + 1.0)));
    }).QuickCheckThrowOnFailure();
}
