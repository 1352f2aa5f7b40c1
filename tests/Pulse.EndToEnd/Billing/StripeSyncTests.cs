using System.Globalization;
using System.Text;
using Microsoft.Extensions.Logging.Abstractions;
using Pulse.Contracts.Billing;
using Pulse.EndToEnd.Processes;
using Pulse.Messaging.Outbox;
using Pulse.StripeDouble;
using Pulse.Testing;

namespace Pulse.EndToEnd.Billing;

/// <summary>From a stored event to the entitlement, through a worker's process, a real broker and a double of Stripe.</summary>
public sealed class StripeSyncTests : IAsyncLifetime
{
    readonly TestPostgres _postgres = new();
    readonly TestBroker _broker = new();
    readonly string _plans = Path.GetTempFileName();
    StripeServer _stripe = null!;
    ChildProcess? _worker;

    public async Task InitializeAsync()
    {
        await _postgres.InitializeAsync();
        await _broker.InitializeAsync();
        _stripe = await StripeServer.StartAsync(new StripeOptions { DeliversByItself = false });
        await PlansAsync("price_pro");
        await StartAsync();
    }

    public async Task DisposeAsync()
    {
        await (_worker?.DisposeAsync() ?? default);
        await (_stripe?.DisposeAsync() ?? default);
        await _broker.DisposeAsync();
        await _postgres.DisposeAsync();
        File.Delete(_plans);
    }

    [Fact]
    public async Task A_burst_of_events_becomes_the_state_with_few_fetches_and_is_measured()
    {
        var (org, customer) = await LinkedAsync();
        var subscription = _stripe.Account.Subscribe(customer, "price_pro").Id;
        await DeliverAsync(customer);
        await StateBecomesAsync(org, "active");
        await SettledAsync(customer);
        _stripe.Requests.Reset();

        var known = _stripe.Account.History(customer).Count;
        for (var change = 0; change < 20; change++)
            _stripe.Account.UpdateSubscription(subscription, new Dictionary<string, string> { ["note"] = change.ToString(CultureInfo.InvariantCulture) });
        _stripe.Account.Cancel(subscription);
        await DeliverAsync(customer, skip: known);
        await StateBecomesAsync(org, "expired");
        await SettledAsync(customer);

        var events = _stripe.Account.History(customer).Count - known;
        var fetches = _stripe.Requests.Counts["GET /v1/subscriptions"];
        Assert.True(fetches < 0.2 * events, $"{fetches} fetches for {events} events");

        var page = await new HttpClient().GetStringAsync(new Uri(_worker!.Url, "/metrics"));
        Assert.True(RunningPulse.Value(page, "pulse_hosted_billing_propagation_seconds_count") >= events);
        Assert.True(RunningPulse.Value(page, """pulse_stripe_refetch_total{result="fetched"}""") >= 2);
        Assert.Equal(0, RunningPulse.Value(page, "pulse_stripe_parked"));
        Assert.Equal(0, RunningPulse.Value(page, """pulse_billing_drift_total{class="handler_failed"}"""));
        Assert.Contains("""pulse_stripe_events_total{outcome="marked",type="customer.subscription.updated"}""", page, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_price_that_no_plan_has_is_dead_lettered_and_applied_by_the_next_event_once_the_file_has_it()
    {
        var (org, customer) = await LinkedAsync();
        var subscription = _stripe.Account.Subscribe(customer, "price_new").Id;
        await DeliverAsync(customer);
        await Eventually.Until(async () => await _postgres.AskAsync<long>("select count(*) from pulse.dead_letters where queue = 'billing-sync'") > 0, TimeSpan.FromSeconds(30), "the message was dead-lettered");
        Assert.Equal("unknown_price price_new", await _postgres.AskAsync<string>("select problem from pulse.stripe_customers where customer_id = $1", customer));
        Assert.Equal("trial", await _postgres.AskAsync<string>("select subscription_state from pulse.billing_states where org_id = $1", org));

        await _worker!.DisposeAsync();
        await PlansAsync("price_new");
        await StartAsync();
        var known = _stripe.Account.History(customer).Count;
        _stripe.Account.UpdateSubscription(subscription, new Dictionary<string, string> { ["note"] = "x" });
        await DeliverAsync(customer, skip: known);

        await StateBecomesAsync(org, "active");
        await SettledAsync(customer);
    }

    async Task StartAsync()
    {
        _worker = ChildProcess.Worker(
            ("PULSE_POSTGRES", _postgres.WorkerAddress), ("PULSE_RABBITMQ", _broker.Address.ToString()), ("PULSE_STRIPE_API_BASE", _stripe.Url.ToString()),
            ("PULSE_STRIPE_API_KEY", _stripe.Options.ApiKey), ("PULSE_STRIPE_RATE_PER_SECOND", "1000"), ("PULSE_PLANS_FILE", _plans));
        await _worker.ReadyAsync();
    }

    Task PlansAsync(string price) => File.WriteAllTextAsync(_plans, $$"""{"plans":[{"plan_version":"pro","prices":["{{price}}"],"capabilities":["exports"]}]}""");

    async Task<(Guid Org, string Customer)> LinkedAsync()
    {
        var org = Guid.CreateVersion7();
        await RunAsync($"""
            insert into pulse.organizations (org_id, name, status, is_default, created_at) values ('{org}', 'o', 'active', false, now());
            insert into pulse.billing_states (org_id, subscription_state, plan_version, trial_ends_at, next_boundary_at, updated_at)
            values ('{org}', 'trial', 'trial', now() + interval '14 days', now() + interval '14 days', now())
            """);
        return (org, _stripe.Account.CreateCustomer(orgId: org.ToString()).Id);
    }

    // As ingress does: the event's row and its message in one transaction. Reconciliation may have listed it already.
    async Task DeliverAsync(string customer, int skip = 0)
    {
        var publisher = new OutboxPublisher(TimeProvider.System, new OutboxBell(_postgres.Worker, NullLogger<OutboxBell>.Instance));
        foreach (var made in _stripe.Account.History(customer).Skip(skip))
        {
            await using var batch = _postgres.Worker.CreateBatch();
            batch.BatchCommands.Add(new("insert into pulse.stripe_events (event_id, effect_id, type, livemode, body, received_at) values ($1, $1, $2, false, $3, now()) on conflict (event_id) do nothing")
            {
                Parameters =
                {
                    new() { Value = made.Id },
                    new() { Value = made.Type },
                    new() { Value = Encoding.UTF8.GetBytes($$$"""{"id":"{{{made.Id}}}","object":"event","data":{"object":{{{made.Data}}}}}""") },
                },
            });
            batch.BatchCommands.Add(publisher.Publish(new StripeEventReceived { EventId = made.Id, ReceivedAt = DateTimeOffset.UtcNow }));
            await batch.ExecuteNonQueryAsync();
        }
    }

    Task StateBecomesAsync(Guid org, string state) => Eventually.Until(
        async () => await _postgres.AskAsync<string>("select subscription_state from pulse.billing_states where org_id = $1", org) == state,
        TimeSpan.FromSeconds(30), $"the organization's state became {state}");

    Task SettledAsync(string customer) => Eventually.Until(
        async () => await _postgres.AskAsync<bool>("""
            select dirty = synced and not exists (select from pulse.stripe_events where status in ('received', 'pending')) from pulse.stripe_customers where customer_id = $1
            """, customer),
        TimeSpan.FromSeconds(30), "every event was applied");

    async Task RunAsync(string sql)
    {
        await using var command = _postgres.Worker.CreateCommand(sql);
        await command.ExecuteNonQueryAsync();
    }
}
