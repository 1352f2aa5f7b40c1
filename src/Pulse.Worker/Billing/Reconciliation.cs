using Npgsql;
using Pulse.Contracts.Billing;
using Pulse.Messaging.Outbox;
using Pulse.Worker.Billing.Stripe;

namespace Pulse.Worker.Billing;

/// <summary>What one reconciliation did.</summary>
/// <param name="Listed">Events that Stripe listed.</param>
/// <param name="Missing">Of these, how many had not come.</param>
/// <param name="Redriven">Events that had come and were not done with.</param>
/// <param name="Swept">Customers that are fetched because they were not for long.</param>
/// <param name="Full">After a gap that Stripe's list does not reach over: every customer is fetched.</param>
sealed record ReconciliationRun(int Listed, int Missing, int Redriven, int Swept, bool Full)
{
    /// <summary>Why it could not be ended; null when it could.</summary>
    public string? Failure { get; init; }
}

/// <summary>
/// Finds what no webhook told, or what was told and not handled, and sends it the way that every event goes. It decides nothing itself, so it
/// heals what it finds and can't do more: grace is counted from invoices, and an organization's status is not billing's.
/// </summary>
sealed class Reconciliation(NpgsqlDataSource dataSource, StripeGateway stripe, OutboxPublisher publisher, StripeOptions account, SyncOptions options, TimeProvider clock)
{
    const int Batch = 500;

    /// <summary>One run. The caller is the leader.</summary>
    /// <param name="redrive">Also what came and is not done with. Not right after a start: it may still wait in a queue.</param>
    public async Task<ReconciliationRun> RunAsync(bool redrive, CancellationToken cancellationToken)
    {
        var now = clock.GetUtcNow();
        var state = await ReconciliationTable.StateAsync(dataSource, cancellationToken);
        var full = state.PolledAt is null || now - state.PolledAt > options.PollReach;
        var run = new ReconciliationRun(0, 0, 0, 0, full);
        if (full && await MarkSubscribersAsync(state.PolledAt is null ? null : "webhook_missing", cancellationToken) is { } gap)
            return run with { Failure = gap };

        var since = (full || state.PolledAt > now ? now : state.PolledAt!.Value) - options.PollOverlap;
        string? after = null;
        do
        {
            var page = await stripe.EventsAsync(since, after, cancellationToken);
            if (!page.IsFetched)
                return run with { Failure = page.Reason };

            run = run with
            {
                Listed = run.Listed + page.Value!.Events.Count,
                Missing = run.Missing + await InsertAsync(page.Value.Events, cancellationToken),
            };
            after = page.Value.After;
        }
        while (after is not null);

        await using (var advance = dataSource.CreateBatch())
        {
            advance.BatchCommands.Add(ReconciliationTable.Advance(now, full ? now : null));
            await advance.ExecuteNonQueryAsync(cancellationToken);
        }

        run = run with { Redriven = redrive ? await RedriveAsync(cancellationToken) : 0, Swept = await SweepAsync(cancellationToken) };
        await using (var audit = dataSource.CreateBatch())
        {
            audit.BatchCommands.Add(ReconciliationTable.AuditRun(now, run));
            await audit.ExecuteNonQueryAsync(cancellationToken);
        }

        return run;
    }

    /// <summary>Puts what is not there into the inbox, with its message.</summary>
    async Task<int> InsertAsync(IReadOnlyList<StripeEvent> listed, CancellationToken cancellationToken)
    {
        var missing = (await ReconciliationTable.MissingAsync(dataSource, listed.Where(item => StripeEventRules.IsOfInterest(item.Type)).Select(item => item.Id), cancellationToken)).ToHashSet();
        if (missing.Count == 0)
            return 0;

        // A webhook may be faster than this insert. Its message is there then, and a second one is a repeat.
        var now = clock.GetUtcNow();
        await using var connection = await dataSource.OpenConnectionAsync(cancellationToken);
        await using var transaction = await connection.BeginTransactionAsync(cancellationToken);
        await using var batch = new NpgsqlBatch(connection);
        foreach (var item in listed.Where(item => missing.Contains(item.Id)))
        {
            batch.BatchCommands.Add(StripeEventTable.Insert(item, now));
            batch.BatchCommands.Add(publisher.Publish(new StripeEventReceived { EventId = item.Id, ReceivedAt = now }));
        }

        await CommitAsync(batch);
        return missing.Count;
    }

    async Task<int> RedriveAsync(CancellationToken cancellationToken)
    {
        var now = clock.GetUtcNow();
        await using var connection = await dataSource.OpenConnectionAsync(cancellationToken);
        await using var transaction = await connection.BeginTransactionAsync(cancellationToken);
        var unhandled = await ReconciliationTable.UnhandledAsync(connection, now, options.HandlingTakes, Batch, cancellationToken);
        if (unhandled.Count == 0)
            return 0;

        await using var batch = new NpgsqlBatch(connection);
        batch.BatchCommands.Add(ReconciliationTable.Redrive(unhandled, now));
        foreach (var eventId in unhandled)
            batch.BatchCommands.Add(publisher.Publish(new StripeEventReceived { EventId = eventId, ReceivedAt = now }));
        await CommitAsync(batch);
        return unhandled.Count;
    }

    // No more than a third of what may be asked until the next run: the rest is for what happens.
    async Task<int> SweepAsync(CancellationToken cancellationToken)
    {
        var left = Math.Max(1, (int)(account.RatePerSecond * options.PollEvery.TotalSeconds / 3));
        var swept = 0;
        while (left > 0)
        {
            await using var connection = await dataSource.OpenConnectionAsync(cancellationToken);
            await using var transaction = await connection.BeginTransactionAsync(cancellationToken);
            var marked = await ReconciliationTable.SweepAsync(connection, clock.GetUtcNow(), options.SweepEvery, Math.Min(left, Batch), cancellationToken);
            if (marked.Count == 0)
                break;

            await using var batch = new NpgsqlBatch(connection);
            foreach (var customerId in marked)
                batch.BatchCommands.Add(publisher.Publish(new SyncStripeCustomer { CustomerId = customerId }));
            await CommitAsync(batch);
            swept += marked.Count;
            left -= marked.Count;
        }

        return swept;
    }

    // Customers that nobody here has heard of are found by what they have subscribed to.
    async Task<string?> MarkSubscribersAsync(string? suspect, CancellationToken cancellationToken)
    {
        string? after = null;
        do
        {
            var page = await stripe.SubscribersAsync(after, cancellationToken);
            if (!page.IsFetched)
                return page.Reason;

            var (customers, next) = page.Value;
            if (customers.Count > 0)
            {
                await using var connection = await dataSource.OpenConnectionAsync(cancellationToken);
                await using var transaction = await connection.BeginTransactionAsync(cancellationToken);
                await using var batch = new NpgsqlBatch(connection);
                batch.BatchCommands.Add(ReconciliationTable.Mark(customers, suspect, options.HandlingTakes, clock.GetUtcNow()));
                foreach (var customerId in customers.Distinct(StringComparer.Ordinal))
                    batch.BatchCommands.Add(publisher.Publish(new SyncStripeCustomer { CustomerId = customerId }));
                await CommitAsync(batch);
            }

            after = next;
        }
        while (after is not null);

        return null;
    }

    async Task CommitAsync(NpgsqlBatch batch)
    {
        batch.BatchCommands.Add(new NpgsqlBatchCommand("commit"));
        await batch.ExecuteNonQueryAsync(CancellationToken.None);
        publisher.Committed();
    }
}
