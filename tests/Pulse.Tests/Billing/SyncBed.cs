using System.Text;
using System.Text.Json;
using global::Pulse.StripeDouble;
using Microsoft.Extensions.Logging.Abstractions;
using Npgsql;
using Pulse.Catalog;
using Pulse.Contracts.Billing;
using Pulse.Hosting;
using Pulse.Messaging.Outbox;
using Pulse.Worker.Billing;
using Pulse.Worker.Billing.Stripe;

namespace Pulse.Tests.Billing;

/// <summary>The sync's own code on a real Postgres and a double of Stripe in this process. What the broker would bring, a test brings by hand.</summary>
public sealed class SyncBed : IAsyncLifetime
{
    internal static readonly Plans Plans = new(
    [
        new Plan { PlanVersion = "basic", Prices = ["price_basic"], Capabilities = ["reports"] },
        new Plan { PlanVersion = "pro", Prices = ["price_pro"], Capabilities = ["reports", "exports"] },
    ]);

    readonly TestPostgres _postgres = new();
    readonly SocketsHttpHandler _http = new() { AllowAutoRedirect = false };

    public TestClock Clock { get; } = new();
    public StripeServer Stripe { get; private set; } = null!;
    public NpgsqlDataSource Data { get; private set; } = null!;
    public TestPostgres Postgres => _postgres;

    public async Task InitializeAsync()
    {
        await _postgres.InitializeAsync();
        var address = PostgresAddress.Parse(_postgres.WorkerAddress);
        // Nothing here is about power cuts; the rest is as the worker has it.
        address.Options = "-c synchronous_commit=off";
        address.MaxAutoPrepare = 64;
        address.AutoPrepareMinUsages = 2;
        address.NoResetOnClose = true;
        address.MaxPoolSize = 60;
        Data = NpgsqlDataSource.Create(address);
        Stripe = await StripeServer.StartAsync(new global::Pulse.StripeDouble.StripeOptions { DeliversByItself = false, Clock = Clock });
    }

    public async Task DisposeAsync()
    {
        _http.Dispose();
        await (Stripe?.DisposeAsync() ?? default);
        await (Data?.DisposeAsync() ?? default);
        await _postgres.DisposeAsync();
    }

    /// <summary>A worker, as far as billing goes.</summary>
    /// <param name="clock">Its own clock; the bed's when left out.</param>
    /// <param name="rateClock">What the bucket of requests goes by; the bed's when left out, as its workers share the bucket: who is behind waits for who is ahead.</param>
    internal SyncWorker Worker(
        TimeProvider? clock = null, SyncOptions? options = null, Plans? plans = null, Worker.Billing.Stripe.StripeOptions? stripe = null, TimeProvider? rateClock = null) =>
        new(this, _http, clock ?? Clock, options ?? new SyncOptions(), plans ?? Plans, stripe ?? Account(), rateClock);

    /// <summary>How the double is asked; at any rate, unless a test is about the rate.</summary>
    internal Worker.Billing.Stripe.StripeOptions Account(string? key = null, int rate = 1_000_000, TimeSpan? timeout = null, TimeSpan? longestTurn = null) => new()
    {
        Base = Stripe.Url,
        Key = key ?? Stripe.Options.ApiKey,
        RatePerSecond = rate,
        Timeout = timeout ?? TimeSpan.FromSeconds(10),
        LongestTurn = longestTurn ?? TimeSpan.FromSeconds(2),
    };

    const string OrgSql = """
        with org as (insert into pulse.organizations (org_id, name, status, is_default, created_at) values ($1, 'o', 'active', false, $2) returning org_id)
        insert into pulse.billing_states (org_id, subscription_state, plan_version, trial_ends_at, next_boundary_at, version, updated_at)
        select org_id, 'trial', 'trial', $2 + interval '14 days', $2 + interval '14 days', 1, $2 from org
        """;

    /// <summary>A tenant, as provisioning leaves it.</summary>
    public async Task<Guid> OrgAsync(Guid? id = null)
    {
        var org = id ?? Guid.CreateVersion7();
        await RunSqlAsync(OrgSql, org, Clock.GetUtcNow().UtcDateTime);
        return org;
    }

    public async Task RunSqlAsync(string sql, params object[] parameters)
    {
        await using var command = Data.CreateCommand(sql);
        foreach (var parameter in parameters)
            command.Parameters.Add(new NpgsqlParameter { Value = parameter });
        await command.ExecuteNonQueryAsync();
    }

    public async Task<T?> AskAsync<T>(string sql, params object[] parameters)
    {
        await using var command = Data.CreateCommand(sql);
        foreach (var parameter in parameters)
            command.Parameters.Add(new NpgsqlParameter { Value = parameter });
        return await command.ExecuteScalarAsync() is T value ? value : default;
    }

    public Task<string?> StateAsync(Guid org) => AskAsync<string>("select subscription_state from pulse.billing_states where org_id = $1", org);

    public Task<string?> EventStatusAsync(string eventId) => AskAsync<string>("select status from pulse.stripe_events where event_id = $1", eventId);

    public Task<string?> ProblemAsync(string customer) => AskAsync<string>("select problem from pulse.stripe_customers where customer_id = $1", customer);

    const string InsertSql = """
        insert into pulse.stripe_events (event_id, effect_id, type, livemode, created_at, body, received_at) values ($1, $2, $3, $4, $5, $6, $7)
        on conflict (event_id) do nothing
        """;

    /// <summary>What ingress does with a webhook, but for the message.</summary>
    public Task ReceiveAsync(State.Happened happened, DateTimeOffset now) => RunSqlAsync(
        InsertSql, happened.Id, happened.EffectId, happened.Type, happened.Livemode, happened.CreatedAt.UtcDateTime, happened.Body, now.UtcDateTime);

    /// <summary>What is said of a customer at Stripe that Pulse listens to, in the order of its happening.</summary>
    public List<State.Happened> EventsOf(string customer) =>
        [.. Stripe.Account.History(customer).Where(made => StripeEventRules.IsOfInterest(made.Type)).Select(State.Happened.Of)];
}

/// <summary>A namespace of its own for what the double's types would hide.</summary>
public static class State
{
    /// <summary>An event as a webhook brings it.</summary>
    public sealed record Happened(string Id, string EffectId, string Type, bool Livemode, DateTimeOffset CreatedAt, byte[] Body)
    {
        public static Happened Of(global::Pulse.StripeDouble.State.StripeEvent made) => new(made.Id, made.Id, made.Type, made.Livemode, made.Created, Encoding.UTF8.GetBytes($$$"""
            {"id":"{{{made.Id}}}","object":"event","type":"{{{made.Type}}}","created":{{{made.Created.ToUnixTimeSeconds()}}},"livemode":false,"data":{"object":{{{made.Data}}}}}
            """));

        /// <summary>Its thin twin.</summary>
        public Happened Thin(string kind, string id) => new("evt_thin_" + Id, Id, "v1." + Type, Livemode, CreatedAt, Encoding.UTF8.GetBytes($$$"""
            {"id":"evt_thin_{{{Id}}}","object":"v2.core.event","type":"v1.{{{Type}}}","related_object":{"id":"{{{id}}}","type":"{{{kind}}}"},"snapshot_event":"{{{Id}}}"}
            """));
    }
}

/// <summary>One worker's billing code, and the messages that it has published.</summary>
internal sealed class SyncWorker
{
    readonly SyncBed _bed;
    readonly Queue<string> _customers = new();
    readonly List<(DateTimeOffset DueAt, string Customer)> _timers = [];

    public SyncWorker(SyncBed bed, HttpMessageHandler http, TimeProvider clock, SyncOptions options, Plans plans, Worker.Billing.Stripe.StripeOptions stripe, TimeProvider? rateClock = null)
    {
        _bed = bed;
        Clock = clock;
        Options = options;
        Rate = new RequestRate(bed.Data, stripe, rateClock ?? bed.Clock);
        Gateway = new StripeGateway(stripe, Rate, clock, NullLogger<StripeGateway>.Instance, http);
        Sync = new CustomerSync(bed.Data, Gateway, Rate, plans, options, clock, NullLogger<CustomerSync>.Instance);
        var publisher = new OutboxPublisher(clock, new OutboxBell(bed.Data, NullLogger<OutboxBell>.Instance));
        Intake = new StripeEventIntake(bed.Data, Gateway, stripe, publisher, options, clock, NullLogger<StripeEventIntake>.Instance);
        Reconciliation = new Reconciliation(bed.Data, Gateway, publisher, stripe, options, clock);
        Plans = plans;
        Command = () => new ReconcileCommand(bed.Data, Gateway, Rate, Reconciliation, Sync, publisher, plans, options, clock);
    }

    public Func<ReconcileCommand> Command { get; }

    public TimeProvider Clock { get; }
    public SyncOptions Options { get; }
    public RequestRate Rate { get; }
    public StripeGateway Gateway { get; }
    public CustomerSync Sync { get; }
    public StripeEventIntake Intake { get; }
    public Reconciliation Reconciliation { get; }
    public Plans Plans { get; }

    public List<EntitlementsChanged> Changed { get; } = [];
    public List<string> Drifts { get; } = [];
    public List<(DateTimeOffset DueAt, string Event)> Put { get; } = [];

    /// <summary>The messages that wait, timers not counted.</summary>
    public int Waiting => _customers.Count;

    public DateTimeOffset? NextTimer => _timers.Count == 0 ? null : _timers.Min(timer => timer.DueAt);

    public void Publish(string customer) => _customers.Enqueue(customer);

    public void Forget()
    {
        _customers.Clear();
        _timers.Clear();
    }

    /// <summary>The webhook arrives, and its message is consumed.</summary>
    public async Task<EventOutcome> DeliverAsync(State.Happened happened)
    {
        await _bed.ReceiveAsync(happened, Clock.GetUtcNow());
        return await HandleAsync(happened.Id);
    }

    public async Task<EventOutcome> HandleAsync(string eventId)
    {
        var outcome = await HandleUnqueuedAsync(eventId);
        if (outcome.CustomerId is { } customer)
            _customers.Enqueue(customer);
        if (outcome.Again is { } dueAt)
            Put.Add((dueAt, eventId));
        return outcome;
    }

    /// <summary>The same for a test that has its own queue.</summary>
    public async Task<EventOutcome> DeliverUnqueuedAsync(State.Happened happened)
    {
        await _bed.ReceiveAsync(happened, Clock.GetUtcNow());
        return await HandleUnqueuedAsync(happened.Id);
    }

    Task<EventOutcome> HandleUnqueuedAsync(string eventId) =>
        InTransactionAsync(async open =>
        {
            var handled = await Intake.HandleAsync(eventId, open, CancellationToken.None);
            if (handled.Deferred is { } command)
            {
                await using var batch = new NpgsqlBatch(await open(CancellationToken.None)) { BatchCommands = { command } };
                await batch.ExecuteNonQueryAsync();
            }

            return handled;
        });

    /// <summary>Consumes one SyncStripeCustomer.</summary>
    public async Task<SyncOutcome> SyncAsync(string customer)
    {
        var outcome = await InTransactionAsync(open => Sync.RunAsync(customer, open, CancellationToken.None));
        Take(customer, outcome);
        return outcome;
    }

    public void Take(string customer, SyncOutcome outcome)
    {
        if (outcome.Timer is { } dueAt)
            _timers.Add((dueAt, customer));
        if (outcome.Changed is { } changed)
            Changed.Add(changed);
        if (outcome.Drift is { } drift)
            Drifts.Add(drift);
    }

    /// <summary>The oldest message that waits; null when none does.</summary>
    public string? Next() => _customers.TryDequeue(out var customer) ? customer : null;

    /// <summary>Timers that are due become messages.</summary>
    public void Fire()
    {
        foreach (var timer in _timers.Where(timer => timer.DueAt <= Clock.GetUtcNow()).ToList())
        {
            _timers.Remove(timer);
            _customers.Enqueue(timer.Customer);
        }
    }

    /// <summary>Consumes whatever waits, moving the clock from timer to timer, until nothing is left.</summary>
    /// <returns>How often Stripe was asked for a customer.</returns>
    public async Task<int> DrainAsync(int most = 1_000_000)
    {
        var fetches = 0;
        for (var step = 0; step < most; step++)
        {
            Fire();
            if (Next() is { } customer)
            {
                fetches += (await SyncAsync(customer)).Fetch is null ? 0 : 1;
            }
            else if (Put.Where(put => put.DueAt <= Clock.GetUtcNow()).ToList() is { Count: > 0 } due)
            {
                foreach (var put in due)
                {
                    Put.Remove(put);
                    await HandleAsync(put.Event);
                }
            }
            else if (_timers.Select(timer => timer.DueAt).Concat(Put.Select(put => put.DueAt)).Order().ToList() is [var next, ..])
            {
                ((TestClock)Clock).Advance(next - Clock.GetUtcNow() + TimeSpan.FromMilliseconds(1));
            }
            else
            {
                return fetches;
            }
        }

        throw new InvalidOperationException("It never comes to rest.");
    }

    const string PumpSql = "delete from messaging.outbox where relay_at <= $1 returning exchange, body";

    /// <summary>What was put into the outbox itself is brought, as the relay would.</summary>
    public async Task PumpAsync()
    {
        var events = new List<string>();
        await using (var command = _bed.Data.CreateCommand(PumpSql))
        {
            command.Parameters.Add(new NpgsqlParameter<DateTime> { TypedValue = Clock.GetUtcNow().UtcDateTime });
            await using var row = await command.ExecuteReaderAsync();
            while (await row.ReadAsync())
            {
                var message = JsonDocument.Parse(row.GetFieldValue<byte[]>(1)).RootElement.GetProperty("message");
                if (message.TryGetProperty("eventId", out var eventId))
                    events.Add(eventId.GetString()!);
                else
                    _customers.Enqueue(message.GetProperty("customerId").GetString()!);
            }
        }

        foreach (var eventId in events)
            await HandleAsync(eventId);
    }

    /// <summary>Reconciles, and brings it all to an end.</summary>
    public async Task<ReconciliationRun> ReconcileAsync(bool redrive = true)
    {
        var run = await Reconciliation.RunAsync(redrive, CancellationToken.None);
        await PumpAsync();
        await DrainAsync();
        return run;
    }

    /// <summary>As the endpoint does: one transaction that begins when it is needed, and is committed in the end.</summary>
    public async Task<T> InTransactionAsync<T>(Func<Func<CancellationToken, ValueTask<NpgsqlConnection>>, Task<T>> handle)
    {
        NpgsqlConnection? connection = null;
        NpgsqlTransaction? transaction = null;
        try
        {
            var outcome = await handle(async cancellationToken =>
            {
                if (connection is null)
                {
                    connection = await _bed.Data.OpenConnectionAsync(cancellationToken);
                    transaction = await connection.BeginTransactionAsync(cancellationToken);
                }

                return connection;
            });
            if (transaction is not null)
                await transaction.CommitAsync();
            return outcome;
        }
        finally
        {
            if (transaction is not null)
                await transaction.DisposeAsync();
            if (connection is not null)
                await connection.DisposeAsync();
        }
    }

    /// <summary>Why what is stored is not π of what Stripe says now; null when it is.</summary>
    public async Task<string?> DivergenceAsync(string customer, Guid org)
    {
        var fetched = await Gateway.CustomerAsync(customer, withSessions: false, CancellationToken.None);
        var stored = await _bed.AskAsync<string>("select canonical::text from pulse.stripe_customers where customer_id = $1", customer);
        var truth = JsonSerializer.Serialize(fetched.Value!.Canonical, Canonical.Json);
        var known = stored is null ? null : JsonSerializer.Serialize(JsonSerializer.Deserialize<Canonical>(stored, Canonical.Json), Canonical.Json);
        if (known != truth)
            return $"Stripe: {truth}\nPulse:  {known}";

        // With nothing changed since, computing it again changes nothing.
        await using var connection = await _bed.Data.OpenConnectionAsync();
        await using var transaction = await connection.BeginTransactionAsync();
        var entitlements = await EntitlementTable.RecomputeAsync(
            connection, org, Plans, Clock.GetUtcNow(), verified: true, "test", "test", CancellationToken.None);
        return entitlements is { Changed: false } ? null : $"the entitlements are not those of {truth}";
    }
}
