using System.Text;
using Microsoft.Extensions.Logging.Abstractions;
using Pulse.Contracts.Billing;
using Pulse.EndToEnd.Nemesis;
using Pulse.Messaging.Outbox;
using Pulse.StripeDouble;
using Pulse.Testing;

namespace Pulse.EndToEnd.Billing;

/// <summary>A real worker kills itself at every point between a stored event of Stripe's and the entitlement; the next one comes to the same end.</summary>
public sealed class CrashPointTests : IAsyncLifetime
{
    readonly TestPostgres _postgres = new();
    readonly TestBroker _broker = new();
    readonly string _plans = Path.GetTempFileName();
    StripeServer _stripe = null!;
    Child _worker = null!;

    public async Task InitializeAsync()
    {
        await _postgres.InitializeAsync();
        await _broker.InitializeAsync();
        _stripe = await StripeServer.StartAsync(new StripeOptions { DeliversByItself = false });
        await File.WriteAllTextAsync(_plans, """{"plans":[{"plan_version":"pro","prices":["price_pro"],"capabilities":["exports"]}]}""");
        _worker = new Child("billing-worker", "Pulse.Worker", "PULSE_WORKER_URL", new(Journey.Hooked("billing"))
        {
            ["PULSE_POSTGRES"] = _postgres.WorkerAddress,
            ["PULSE_RABBITMQ"] = _broker.Address.ToString(),
            ["PULSE_STRIPE_API_BASE"] = _stripe.Url.ToString(),
            ["PULSE_STRIPE_API_KEY"] = _stripe.Options.ApiKey,
            ["PULSE_STRIPE_RATE_PER_SECOND"] = "1000",
            ["PULSE_PLANS_FILE"] = _plans,
        });
        _worker.Start();
        await _worker.ReadyAsync();
    }

    public async Task DisposeAsync()
    {
        await _worker.DisposeAsync();
        await _stripe.DisposeAsync();
        await _broker.DisposeAsync();
        await _postgres.DisposeAsync();
        File.Delete(_plans);
    }

    static readonly string[] Points =
    [
        "relay: before publish",
        "relay: before delete",
        "event: before read",
        "event: after read",
        "event: before mark",
        "event: after mark",
        "stripe-events: before commit",
        "stripe-events: after commit",
        "stripe-events: before acknowledge",
        "stripe-events: after acknowledge",
        "direct: before publish",
        "direct: before delete",
        "sync: before lease",
        "sync: after lease",
        "sync: before fetch",
        "sync: after fetch",
        "sync: before store",
        "sync: after store",
        "sync: after recompute",
        "billing-sync: before commit",
        "billing-sync: after commit",
        "billing-sync: before acknowledge",
        "billing-sync: after acknowledge",
    ];

    [Fact]
    public async Task Wherever_a_worker_dies_the_organization_gets_what_was_paid_for_once()
    {
        foreach (var point in Points)
        {
            var (org, customer) = await LinkedAsync();
            await File.WriteAllTextAsync(Journey.Deadly("billing"), point);
            _stripe.Account.Subscribe(customer, "price_pro");
            await DeliverAsync(customer);
            try
            {
                await _worker.DiedAsync();
            }
            finally
            {
                File.Delete(Journey.Deadly("billing"));
            }

            // Its lease is waited for, thirty seconds; once is enough.
            if (point != "sync: after lease")
                await RunAsync("update pulse.stripe_customers set lease_until = now() where customer_id = $1 and lease_until is not null", customer);
            _worker.Start();
            var end = "";
            try
            {
                await Eventually.Until(async () => (end = await EndAsync(org, customer)) == Undisturbed, TimeSpan.FromSeconds(75), "it ended as every other");
            }
            catch (TimeoutException)
            {
                // The comparison says more.
            }

            Assert.Equal($"{point}: {Undisturbed}", $"{point}: {end}");
        }
    }

    const string Undisturbed = "active v2, 1 change in the audit log, in step, 0 events open";

    const string EndSql = """
        select format('%s v%s, %s change in the audit log, %s, %s events open', b.subscription_state, b.version,
            (select count(*) from pulse.audit_log where org_id = $1),
            (select case when dirty = synced and lease_until is null then 'in step' else 'behind' end from pulse.stripe_customers where customer_id = $2),
            (select count(*) from pulse.stripe_events where customer_id = $2 and status <> 'applied'))
        from pulse.billing_states b where org_id = $1
        """;

    async Task<string> EndAsync(Guid org, string customer) => await _postgres.AskAsync<string>(EndSql, org, customer) ?? "";

    const string OrgSql = """
        with org as (insert into pulse.organizations (org_id, name, status, is_default, created_at) values ($1, 'o', 'active', false, now()) returning org_id)
        insert into pulse.billing_states (org_id, subscription_state, plan_version, trial_ends_at, next_boundary_at, updated_at)
        select org_id, 'trial', 'trial', now() + interval '14 days', now() + interval '14 days', now() from org
        """;

    async Task<(Guid Org, string Customer)> LinkedAsync()
    {
        var org = Guid.CreateVersion7();
        await RunAsync(OrgSql, org);
        return (org, _stripe.Account.CreateCustomer(orgId: org.ToString()).Id);
    }

    async Task RunAsync(string sql, object parameter)
    {
        await using var command = _postgres.Worker.CreateCommand(sql);
        command.Parameters.Add(new() { Value = parameter });
        await command.ExecuteNonQueryAsync();
    }

    // As ingress does: the event's row and its message in one transaction. Reconciliation may have listed it already.
    async Task DeliverAsync(string customer)
    {
        var publisher = new OutboxPublisher(TimeProvider.System, new OutboxBell(_postgres.Worker, NullLogger<OutboxBell>.Instance));
        await using var batch = _postgres.Worker.CreateBatch();
        foreach (var made in _stripe.Account.History(customer))
        {
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
        }

        await batch.ExecuteNonQueryAsync();
    }
}
