using System.Text.Json;
using System.Text.Json.Serialization;
using Microsoft.Extensions.Logging.Abstractions;
using Npgsql;
using Pulse.Catalog;
using Pulse.Contracts.Billing;
using Pulse.Hosting;
using Pulse.Messaging;
using Pulse.Messaging.Outbox;
using Pulse.Worker.Billing.Stripe;

namespace Pulse.Worker.Billing;

/// <summary>One customer that is not as Stripe says.</summary>
sealed record DriftFound
{
    public required string CustomerId { get; init; }
    public Guid? OrgId { get; init; }

    /// <summary>webhook_missing or handler_failed.</summary>
    public required string Class { get; init; }
    public string? StateBefore { get; init; }

    /// <summary>What it becomes, or would become; null where a person has to put something right first.</summary>
    public string? StateAfter { get; init; }
    public string? Problem { get; init; }
}

/// <summary>What the command found, as it is in <c>--json</c>.</summary>
sealed record ReconcileReport
{
    public required bool DryRun { get; init; }
    public required int Customers { get; init; }

    /// <summary>Events that Stripe lists and that never came.</summary>
    public required IReadOnlyList<string> MissingEvents { get; init; }

    /// <summary>Events that came and were never done with.</summary>
    public required IReadOnlyList<string> UnhandledEvents { get; init; }
    public required IReadOnlyList<DriftFound> Drift { get; init; }

    /// <summary>Why not everything could be looked at.</summary>
    public string? Failure { get; init; }

    public bool Differs => MissingEvents.Count + UnhandledEvents.Count + Drift.Count > 0;
}

/// <summary>
/// <c>Pulse.Worker.dll billing reconcile</c>: compares every customer with Stripe now, and heals what differs; with <c>--dry-run</c> only
/// says what would be.
/// </summary>
sealed class ReconcileCommand(
    NpgsqlDataSource dataSource, StripeGateway stripe, RequestRate rate, Reconciliation reconciliation, CustomerSync sync, OutboxPublisher publisher, Plans plans,
    SyncOptions options, TimeProvider clock)
{
    const int Page = 500;

    static readonly JsonSerializerOptions Json = new()
    {
        PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower,
        DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull,
        WriteIndented = true,
    };

    /// <param name="args"><c>--dry-run</c>: changes nothing; <c>--json</c>.</param>
    /// <param name="output">Where it is printed.</param>
    /// <returns>
    /// 0 when nothing differs, or all of it was healed; 1 when something differs (dry run), could not be healed, or could not be looked at; 2 for
    /// an option that it does not know, or a setting that is missing.
    /// </returns>
    public static async Task<int> RunAsync(IReadOnlyList<string> args, TextWriter output)
    {
        if (args.FirstOrDefault(arg => arg is not ("--dry-run" or "--json")) is { } unknown)
        {
            await output.WriteLineAsync($"billing reconcile does not know '{unknown}': --dry-run and --json are what there is.");
            return 2;
        }

        var builder = PulseProcess.CreateBuilder([], out var settings, "PULSE_WORKER_URL", "http://127.0.0.1:8081");
        var worker = WorkerOptions.Read(settings);
        var account = StripeOptions.Read(settings);
        settings.Required("PULSE_STRIPE_API_KEY", "the key that Stripe is asked with");
        var plans = Plans.Read(settings);
        settings.ThrowIfInvalid();
        await using var app = builder.Build();
        await using var dataSource = NpgsqlDataSource.Create(worker.Postgres);
        var clock = app.Services.GetRequiredService<TimeProvider>();
        var options = new SyncOptions();
        var rate = new RequestRate(dataSource, account, clock);
        using var stripe = new StripeGateway(account, rate, clock, NullLogger<StripeGateway>.Instance);
        using var bell = new OutboxBell(dataSource, NullLogger<OutboxBell>.Instance);
        var publisher = new OutboxPublisher(clock, bell);
        var command = new ReconcileCommand(
            dataSource, stripe, rate, new Reconciliation(dataSource, stripe, publisher, account, options, clock),
            new CustomerSync(dataSource, stripe, rate, plans, options, clock, NullLogger<CustomerSync>.Instance), publisher, plans, options, clock);

        var report = await command.ReportAsync(args.Contains("--dry-run"), CancellationToken.None);
        await output.WriteLineAsync(args.Contains("--json") ? JsonSerializer.Serialize(report, Json) : Table(report));
        return report.Failure is not null || (report.DryRun ? report.Differs : report.Drift.Any(drift => drift.StateAfter is null)) ? 1 : 0;
    }

    internal async Task<ReconcileReport> ReportAsync(bool dryRun, CancellationToken cancellationToken)
    {
        await using var session = await dataSource.OpenConnectionAsync(cancellationToken);
        if (!dryRun && !await ReconciliationTable.TryLeadAsync(session, cancellationToken))
            return Nothing(dryRun) with { Failure = "A worker is reconciling at this moment: try again." };

        try
        {
            var (missing, failure) = await MissingAsync(cancellationToken);
            var unhandled = await ReconciliationTable.UnhandledAsync(session, clock.GetUtcNow(), options.HandlingTakes, Page, cancellationToken);
            if (!dryRun && failure is null)
                failure = (await reconciliation.RunAsync(redrive: true, cancellationToken)).Failure;

            var (customers, drift, stopped) = await CustomersAsync(dryRun, cancellationToken);
            return new ReconcileReport
            {
                DryRun = dryRun,
                Customers = customers,
                MissingEvents = missing,
                UnhandledEvents = unhandled,
                Drift = drift,
                Failure = failure ?? stopped,
            };
        }
        finally
        {
            if (!dryRun)
                await ReconciliationTable.ResignAsync(session);
        }
    }

    static ReconcileReport Nothing(bool dryRun) => new() { DryRun = dryRun, Customers = 0, MissingEvents = [], UnhandledEvents = [], Drift = [] };

    async Task<(List<string> Missing, string? Failure)> MissingAsync(CancellationToken cancellationToken)
    {
        var now = clock.GetUtcNow();
        var polled = (await ReconciliationTable.StateAsync(dataSource, cancellationToken)).PolledAt;
        var reach = now - options.PollReach;
        var since = (polled > now ? now : polled ?? now) - options.PollOverlap;
        var missing = new List<string>();
        string? after = null;
        do
        {
            var page = await AskAsync(() => stripe.EventsAsync(since > reach ? since : reach, after, cancellationToken), cancellationToken);
            if (!page.IsFetched)
                return (missing, page.Reason);

            missing.AddRange(await ReconciliationTable.MissingAsync(
                dataSource, page.Value!.Events.Where(item => StripeEventRules.IsOfInterest(item.Type)).Select(item => item.Id), cancellationToken));
            after = page.Value.After;
        }
        while (after is not null);

        return (missing, null);
    }

    async Task<(int Customers, List<DriftFound> Drift, string? Failure)> CustomersAsync(bool dryRun, CancellationToken cancellationToken)
    {
        var drift = new List<DriftFound>();
        var count = 0;
        var after = "";
        while (await ReconciliationTable.CustomersAsync(dataSource, after, Page, cancellationToken) is { Count: > 0 } page)
        {
            foreach (var customer in page)
            {
                var answer = await AskAsync(() => FetchAsync(customer, cancellationToken), cancellationToken);
                if (!answer.IsFetched)
                    return (count, drift, $"{customer.CustomerId}: {answer.Reason}");

                count++;
                if (await CompareAsync(customer, answer.Value!, cancellationToken) is { } found)
                    drift.Add(dryRun || found.Problem is not null ? found : await HealAsync(found, cancellationToken));
            }

            after = page[^1].CustomerId;
        }

        return (count, drift, null);
    }

    async Task<StripeAnswer<StripeCustomer>> FetchAsync(StoredCustomer customer, CancellationToken cancellationToken) =>
        await rate.WaitAsync(cancellationToken)
            ? await stripe.CustomerAsync(customer.CustomerId, withSessions: customer.OrgId is null, cancellationToken)
            : new(StripeResult.RateLimited, Reason: "not our turn");

    // Who has waited for a command has more patience than a queue; not for ever.
    async Task<StripeAnswer<T>> AskAsync<T>(Func<Task<StripeAnswer<T>>> ask, CancellationToken cancellationToken)
    {
        for (var attempt = 1; ; attempt++)
        {
            var answer = await ask();
            if (answer.Result is not (StripeResult.RateLimited or StripeResult.Unavailable) || attempt == 5)
                return answer;

            await Task.Delay(SyncRules.Backoff(attempt, answer.RetryAfter, Random.Shared.NextDouble(), options), clock, cancellationToken);
        }
    }

    // What it would become, by the rules themselves, in a transaction that is rolled back.
    async Task<DriftFound?> CompareAsync(StoredCustomer customer, StripeCustomer fetched, CancellationToken cancellationToken)
    {
        await using var connection = await dataSource.OpenConnectionAsync(cancellationToken);
        await using var transaction = await connection.BeginTransactionAsync(cancellationToken);
        var decided = await CustomerSync.DecideAsync(new Lease(customer.CustomerId, 0, 0, 0, customer.OrgId, 0), fetched, connection, cancellationToken);
        // Nobody's, and so nothing to differ from.
        if (decided.OrgId is not { } orgId)
            return null;

        var (differs, before) = await ReconciliationTable.SupposeAsync(connection, customer.CustomerId, orgId, fetched.Canonical, cancellationToken);
        if (!differs)
            return null;

        var found = new DriftFound
        {
            CustomerId = customer.CustomerId,
            OrgId = orgId,
            Class = customer.HasPending ? "handler_failed" : "webhook_missing",
            StateBefore = before,
        };
        try
        {
            var after = await EntitlementTable.RecomputeAsync(
                connection, orgId, plans, clock.GetUtcNow(), verified: true, "reconciliation", found.Class, cancellationToken);
            return found with { StateAfter = after?.Current.State };
        }
        catch (UnknownPriceException unknown)
        {
            return found with { Problem = $"unknown_price {unknown.PriceId}" };
        }
    }

    async Task<DriftFound> HealAsync(DriftFound found, CancellationToken cancellationToken)
    {
        await using (var mark = dataSource.CreateBatch())
        {
            mark.BatchCommands.Add(ReconciliationTable.Mark([found.CustomerId], found.Class, options.HandlingTakes, clock.GetUtcNow()));
            // Should this end here, a worker goes on.
            mark.BatchCommands.Add(publisher.Publish(new SyncStripeCustomer { CustomerId = found.CustomerId }, clock.GetUtcNow() + options.Lease));
            await mark.ExecuteNonQueryAsync(cancellationToken);
        }

        for (var attempt = 1; attempt <= 5; attempt++)
        {
            await using var connection = await dataSource.OpenConnectionAsync(cancellationToken);
            await using var transaction = await connection.BeginTransactionAsync(cancellationToken);
            var outcome = await sync.RunAsync(found.CustomerId, _ => ValueTask.FromResult(connection), cancellationToken);
            await using var batch = new NpgsqlBatch(connection);
            if (outcome.Changed is { } changed)
                batch.BatchCommands.Add(publisher.Publish(changed));
            if (outcome.Timer is { } dueAt)
                batch.BatchCommands.Add(publisher.Publish(new SyncStripeCustomer { CustomerId = found.CustomerId }, dueAt));
            batch.BatchCommands.Add(new NpgsqlBatchCommand("commit"));
            await batch.ExecuteNonQueryAsync(CancellationToken.None);
            publisher.Committed();
            // In step: a worker was faster.
            if (outcome.End is SyncEnd.Applied or SyncEnd.InStep)
                return found;

            await Task.Delay(options.Settle * attempt, clock, cancellationToken);
        }

        return found with { StateAfter = null, Problem = "Stripe did not answer; a worker tries again" };
    }

    static string Table(ReconcileReport report)
    {
        var lines = new List<string>();
        lines.AddRange(report.MissingEvents.Select(id => $"  event {id} never came"));
        lines.AddRange(report.UnhandledEvents.Select(id => $"  event {id} came and was not done with"));
        lines.AddRange(report.Drift.Select(drift =>
            $"  {drift.CustomerId}  {drift.OrgId}  {drift.Class}  {drift.StateBefore} → {drift.StateAfter ?? "?"}{(drift.Problem is null ? "" : $"  ({drift.Problem})")}"));
        if (report.Failure is not null)
            lines.Add($"  ✗ {report.Failure}");
        lines.Add(report.Failure is not null ? "Not everything could be looked at."
            : !report.Differs ? $"{report.Customers} customers are as Stripe says."
            : report.DryRun ? $"Of {report.Customers} customers {report.Drift.Count} differ. Nothing was changed."
            : $"Of {report.Customers} customers {report.Drift.Count} differed; {report.Drift.Count(drift => drift.StateAfter is not null)} were healed.");
        return string.Join(Environment.NewLine, lines);
    }
}
