using Pulse.Worker.Billing;

namespace Pulse.Tests.Billing;

/// <summary>What no webhook told is found, counted, and healed; and nothing else changes.</summary>
public sealed class ReconciliationTests : IAsyncLifetime
{
    readonly SyncBed _bed = new();

    public Task InitializeAsync() => _bed.InitializeAsync();

    public Task DisposeAsync() => _bed.DisposeAsync();

    [Fact]
    public async Task An_event_that_never_came_is_found_in_Stripe_s_list_and_counted_as_a_missing_webhook()
    {
        var (worker, customer, org) = await LinkedAsync();
        _bed.Stripe.Account.Cancel(_bed.Stripe.Account.SubscriptionsOf(customer)[0].Id);
        _bed.Clock.Advance(TimeSpan.FromMinutes(6));

        var run = await worker.ReconcileAsync();

        Assert.True(run.Missing > 0);
        Assert.Equal("expired", await _bed.StateAsync(org));
        Assert.Equal(["webhook_missing"], worker.Drifts);
        Assert.Equal(1L, await _bed.AskAsync<long>("select count(*) from pulse.audit_log where action = 'billing.drift_healed' and org_id = $1", org));
        Assert.True(await _bed.AskAsync<long>("select count(*) from pulse.audit_log where action = 'billing.reconciled'") > 0);
    }

    [Fact]
    public async Task An_event_that_came_and_was_not_handled_is_handled_and_counted_as_a_failed_handler()
    {
        var (worker, customer, org) = await LinkedAsync();
        _bed.Stripe.Account.Cancel(_bed.Stripe.Account.SubscriptionsOf(customer)[0].Id);
        foreach (var happened in _bed.EventsOf(customer))
            await _bed.ReceiveAsync(happened, _bed.Clock.GetUtcNow());
        _bed.Clock.Advance(TimeSpan.FromMinutes(6));

        var run = await worker.ReconcileAsync();

        Assert.Equal(0, run.Missing);
        Assert.True(run.Redriven > 0);
        Assert.Equal("expired", await _bed.StateAsync(org));
        Assert.Equal(["handler_failed"], worker.Drifts);
    }

    [Fact]
    public async Task Every_linked_customer_is_fetched_once_a_day()
    {
        var (worker, customer, _) = await LinkedAsync();
        _bed.Clock.Advance(TimeSpan.FromHours(23));
        Assert.Equal(0, (await worker.ReconcileAsync()).Swept);

        _bed.Clock.Advance(TimeSpan.FromHours(1.1));

        Assert.Equal(1, (await worker.ReconcileAsync()).Swept);
        Assert.Empty(worker.Drifts);
        Assert.True(await _bed.AskAsync<bool>("select dirty = synced from pulse.stripe_customers where customer_id = $1", customer));
        Assert.Equal(0, (await worker.ReconcileAsync()).Swept);
    }

    [Fact]
    public async Task After_a_gap_that_the_list_does_not_reach_over_customers_that_nobody_knew_are_found()
    {
        var (worker, _, _) = await LinkedAsync();
        var org = await _bed.OrgAsync();
        var unknown = _bed.Stripe.Account.CreateCustomer(orgId: org.ToString()).Id;
        _bed.Stripe.Account.Subscribe(unknown, "price_pro");
        _bed.Clock.Advance(TimeSpan.FromDays(30));

        Assert.True((await worker.ReconcileAsync()).Full);

        Assert.Equal("active", await _bed.StateAsync(org));
    }

    [Fact]
    public async Task Scenario_12_a_suspended_organization_stays_suspended_and_a_grace_that_has_ended_stays_ended()
    {
        var (worker, customer, org) = await LinkedAsync();
        _bed.Stripe.Account.FailPayment(_bed.Stripe.Account.SubscriptionsOf(customer)[0].Id);
        _bed.Clock.Advance(TimeSpan.FromMinutes(6));
        await worker.ReconcileAsync();
        var graceUntil = await GraceAsync();
        Assert.NotNull(graceUntil);
        await _bed.RunSqlAsync("update pulse.organizations set status = 'suspended' where org_id = $1", org);

        // While it lasts, and when it has ended.
        foreach (var (days, state) in ((int, string)[])[(1, "grace"), (14, "suspended"), (1, "suspended")])
        {
            _bed.Clock.Advance(TimeSpan.FromDays(days));
            await worker.ReconcileAsync();
            Assert.Equal("suspended", await _bed.AskAsync<string>("select status from pulse.organizations where org_id = $1", org));
            Assert.Equal((state, graceUntil), (await _bed.StateAsync(org), await GraceAsync()));
        }

        Task<string?> GraceAsync() => _bed.AskAsync<string>("select timeline #>> '{0,grace_until}' from pulse.billing_states where org_id = $1", org);
    }

    [Fact]
    public async Task Only_one_worker_leads()
    {
        await using var first = await _bed.Data.OpenConnectionAsync();
        await using var second = await _bed.Data.OpenConnectionAsync();
        Assert.True(await ReconciliationTable.TryLeadAsync(first, CancellationToken.None));
        Assert.False(await ReconciliationTable.TryLeadAsync(second, CancellationToken.None));

        await ReconciliationTable.ResignAsync(first);

        Assert.True(await ReconciliationTable.TryLeadAsync(second, CancellationToken.None));
        await ReconciliationTable.ResignAsync(second);
    }

    [Fact]
    public async Task A_dry_run_tells_what_would_change_and_changes_nothing()
    {
        var (worker, customer, org) = await LinkedAsync();
        _bed.Stripe.Account.Cancel(_bed.Stripe.Account.SubscriptionsOf(customer)[0].Id);
        _bed.Clock.Advance(TimeSpan.FromMinutes(2));

        var told = await worker.Command().ReportAsync(dryRun: true, CancellationToken.None);

        var drift = Assert.Single(told.Drift);
        Assert.Equal((customer, "webhook_missing", "active", "expired"), (drift.CustomerId, drift.Class, drift.StateBefore, drift.StateAfter));
        Assert.NotEmpty(told.MissingEvents);
        Assert.Equal("active", await _bed.StateAsync(org));

        var healed = await worker.Command().ReportAsync(dryRun: false, CancellationToken.None);
        Assert.Single(healed.Drift);
        Assert.Null(healed.Failure);
        Assert.Equal("expired", await _bed.StateAsync(org));
        Assert.Empty((await worker.Command().ReportAsync(dryRun: true, CancellationToken.None)).Drift);
    }

    async Task<(SyncWorker Worker, string Customer, Guid Org)> LinkedAsync()
    {
        var worker = _bed.Worker();
        await worker.ReconcileAsync();
        var org = await _bed.OrgAsync();
        var customer = _bed.Stripe.Account.CreateCustomer(orgId: org.ToString()).Id;
        _bed.Stripe.Account.Subscribe(customer, "price_basic");
        foreach (var happened in _bed.EventsOf(customer))
            await worker.DeliverAsync(happened);
        await worker.DrainAsync();
        Assert.Equal("active", await _bed.StateAsync(org));
        return (worker, customer, org);
    }
}
