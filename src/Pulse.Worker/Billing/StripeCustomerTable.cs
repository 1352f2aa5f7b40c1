using System.Text.Json;
using Npgsql;
using NpgsqlTypes;

namespace Pulse.Worker.Billing;

/// <summary>A customer that is this worker's for a while.</summary>
/// <param name="Fence">Whoever stores must still hold it.</param>
/// <param name="Dirty">What is fetched from now on has seen every mark up to it.</param>
/// <param name="Synced">What was seen before.</param>
/// <param name="FetchedAt">When it was fetched before.</param>
/// <param name="LetBeUntil">Until when it was let be then.</param>
sealed record Lease(
    string CustomerId, long Fence, long Dirty, long Synced, Guid? OrgId, int Failures, DateTimeOffset? FetchedAt = null, DateTimeOffset? LetBeUntil = null);

/// <summary>The lease, or why there is none.</summary>
/// <param name="Behind">False: there is nothing to fetch.</param>
/// <param name="Until">Another holds it, or it is let be, until then.</param>
/// <param name="TimerAt">When the timer that stands will look again.</param>
sealed record LeaseAttempt(Lease? Lease, bool Behind = false, DateTimeOffset? Until = null, DateTimeOffset? TimerAt = null);

/// <summary>What is to be stored of a fetch.</summary>
sealed record Fetched
{
    /// <summary>Null: nothing is stored of a customer that is nobody's.</summary>
    public Canonical? Canonical { get; init; }
    public Guid? OrgId { get; init; }
    public string? LinkedBy { get; init; }
    public string? Problem { get; init; }

    /// <summary>What becomes of the events that it has seen: applied, parked, quarantined or ignored.</summary>
    public required string EventStatus { get; init; }
}

/// <summary>What storing a fetch found.</summary>
/// <param name="Dirty">The count by now.</param>
/// <param name="Suspect">Reconciliation had marked it, and no event.</param>
/// <param name="Differs">Stripe says something else than what was stored.</param>
/// <param name="LastEvent">The youngest event that it has seen; null for none.</param>
/// <param name="ReceivedAt">When the webhooks came that it is the first to have seen.</param>
sealed record Stored(long Dirty, string? Suspect, bool Differs, string? LastEvent, IReadOnlyList<DateTime> ReceivedAt);

/// <summary>The statements on <c>pulse.stripe_customers</c>: the sync saga's row.</summary>
static class StripeCustomerTable
{
    // One statement takes the lease or tells why not. Times far ahead are of a clock that was moved and reset, and are not believed.
    // The second half sees the row as it was before; where another took the lease in between, it looks free there: Until is null then.
    const string LeaseSql = """
        with taken as (
            update pulse.stripe_customers
            set fence = fence + 1, lease_until = $2::timestamptz + $3::interval
            where customer_id = $1 and dirty > synced
              and (lease_until is null or lease_until <= $2 or lease_until > $2::timestamptz + 2 * $3::interval)
              and (next_sync_at is null or next_sync_at <= $2 or next_sync_at > $2::timestamptz + $4::interval)
            returning fence, dirty, synced, org_id, failures, fetched_at, next_sync_at)
        select fence, dirty, synced, org_id, failures, fetched_at, next_sync_at from taken
        union all
        select null, null, null, null, null,
            greatest(case when lease_until > $2 then lease_until end, case when next_sync_at > $2 then next_sync_at end), timer_at
        from pulse.stripe_customers
        where customer_id = $1 and dirty > synced and not exists (select from taken)
        """;

    /// <summary>Takes a customer that is behind and free. Commits by itself.</summary>
    public static async Task<LeaseAttempt> LeaseAsync(
        NpgsqlDataSource dataSource, string customerId, DateTimeOffset now, SyncOptions options, CancellationToken cancellationToken)
    {
        await using var command = dataSource.CreateCommand(LeaseSql);
        command.Parameters.Add(new NpgsqlParameter<string> { TypedValue = customerId });
        command.Parameters.Add(new NpgsqlParameter<DateTime> { TypedValue = now.UtcDateTime });
        command.Parameters.Add(new NpgsqlParameter<TimeSpan> { TypedValue = options.Lease });
        command.Parameters.Add(new NpgsqlParameter<TimeSpan> { TypedValue = 2 * options.RetryAfterMost });
        await using var row = await command.ExecuteReaderAsync(cancellationToken);
        if (!await row.ReadAsync(cancellationToken))
            return new LeaseAttempt(null);

        return row.IsDBNull(0)
            ? new LeaseAttempt(null, Behind: true, Moment(row, 5), Moment(row, 6))
            : new LeaseAttempt(new Lease(
                customerId, row.GetInt64(0), row.GetInt64(1), row.GetInt64(2), row.IsDBNull(3) ? null : row.GetGuid(3), row.GetInt32(4), Moment(row, 5), Moment(row, 6)));
    }

    const string RenewSql = """
        update pulse.stripe_customers set lease_until = $3 where customer_id = $1 and fence = $2 returning dirty
        """;

    /// <summary>Begins the lease again after a wait, with all that was marked meanwhile.</summary>
    /// <returns>Null: another has it.</returns>
    public static async Task<Lease?> RenewAsync(NpgsqlDataSource dataSource, Lease lease, DateTimeOffset until, CancellationToken cancellationToken)
    {
        await using var command = dataSource.CreateCommand(RenewSql);
        command.Parameters.Add(new NpgsqlParameter<string> { TypedValue = lease.CustomerId });
        command.Parameters.Add(new NpgsqlParameter<long> { TypedValue = lease.Fence });
        command.Parameters.Add(new NpgsqlParameter<DateTime> { TypedValue = until.UtcDateTime });
        return await command.ExecuteScalarAsync(cancellationToken) is long dirty ? lease with { Dirty = dirty } : null;
    }

    // The fence is the guard: who was overtaken stores nothing, not even that an event is done with. synced never goes back.
    const string StoreSql = """
        with stored as (
            update pulse.stripe_customers c
            set canonical = $4, prices = $5, products = $6, synced = greatest(c.synced, $3),
                org_id = coalesce(c.org_id, $7), linked_by = case when c.org_id is null and $7 is not null then $8 else c.linked_by end,
                linked_at = case when c.org_id is null and $7 is not null then $10 else c.linked_at end,
                problem = $9, fetched_at = $10, failures = 0, suspect = null, lease_until = null, next_sync_at = $11
            from pulse.stripe_customers old
            where c.customer_id = $1 and old.customer_id = $1 and (c.fence = $2 or not $12)
            returning c.dirty, old.suspect, old.canonical is distinct from c.canonical as differs),
        seen as (
            update pulse.stripe_events set status = $13, completed_at = case when $13 in ('applied', 'ignored') then $10::timestamptz end
            where customer_id = $1 and mark <= $3 and status in ('pending', 'parked', 'quarantined') and exists (select from stored)
            returning event_id, mark, received_at, source)
        select dirty, suspect, differs, (select event_id from seen order by mark desc, event_id limit 1),
            coalesce((select array_agg(received_at) from seen where mark > $14 and source = 'webhook'), '{}')
        from stored
        """;

    /// <summary>Stores what was fetched under a lease, ends the lease, and settles the events that it has seen.</summary>
    /// <param name="settledAt">Not before then is the customer fetched again.</param>
    /// <returns>Null: another has taken the lease since, and nothing was stored.</returns>
    public static async Task<Stored?> StoreAsync(
        NpgsqlConnection connection, Lease lease, Fetched fetched, DateTimeOffset now, DateTimeOffset settledAt, bool fenced, CancellationToken cancellationToken)
    {
        var prices = fetched.Canonical?.Subscriptions.SelectMany(subscription => subscription.Prices).ToList() ?? [];
        // Until then the transaction holds no lock: see UndoStoreAsync.
        await using var batch = new NpgsqlBatch(connection) { BatchCommands = { new NpgsqlBatchCommand("savepoint billing_sync") } };
        var command = new NpgsqlBatchCommand(StoreSql);
        batch.BatchCommands.Add(command);
        command.Parameters.Add(new NpgsqlParameter<string> { TypedValue = lease.CustomerId });
        command.Parameters.Add(new NpgsqlParameter<long> { TypedValue = lease.Fence });
        command.Parameters.Add(new NpgsqlParameter<long> { TypedValue = lease.Dirty });
        command.Parameters.Add(new NpgsqlParameter
        {
            NpgsqlDbType = NpgsqlDbType.Jsonb,
            Value = fetched.Canonical is { } canonical ? JsonSerializer.Serialize(canonical, Canonical.Json) : DBNull.Value,
        });
        command.Parameters.Add(new NpgsqlParameter<string[]> { TypedValue = [.. prices.Select(price => price.Id).Distinct()] });
        command.Parameters.Add(new NpgsqlParameter<string[]> { TypedValue = [.. prices.Select(price => price.ProductId).OfType<string>().Distinct()] });
        command.Parameters.Add(new NpgsqlParameter { NpgsqlDbType = NpgsqlDbType.Uuid, Value = (object?)fetched.OrgId ?? DBNull.Value });
        command.Parameters.Add(Text(fetched.LinkedBy));
        command.Parameters.Add(Text(fetched.Problem));
        command.Parameters.Add(new NpgsqlParameter<DateTime> { TypedValue = now.UtcDateTime });
        command.Parameters.Add(new NpgsqlParameter<DateTime> { TypedValue = settledAt.UtcDateTime });
        command.Parameters.Add(new NpgsqlParameter<bool> { TypedValue = fenced });
        command.Parameters.Add(Text(fetched.EventStatus));
        command.Parameters.Add(new NpgsqlParameter<long> { TypedValue = lease.Synced });
        await using var row = await batch.ExecuteReaderAsync(cancellationToken);
        return await row.ReadAsync(cancellationToken)
            ? new Stored(row.GetInt64(0), row.IsDBNull(1) ? null : row.GetString(1), row.GetBoolean(2), row.IsDBNull(3) ? null : row.GetString(3), row.GetFieldValue<DateTime[]>(4))
            : null;
    }

    const string UndoStoreSql = "rollback to savepoint billing_sync";

    /// <summary>Takes back what was stored, and with it the row's lock. Throws where nothing was.</summary>
    public static async Task UndoStoreAsync(NpgsqlConnection connection, CancellationToken cancellationToken)
    {
        await using var command = new NpgsqlCommand(UndoStoreSql, connection);
        await command.ExecuteNonQueryAsync(cancellationToken);
    }

    const string PostponeSql = """
        update pulse.stripe_customers set lease_until = null, failures = failures + 1, next_sync_at = $3
        where customer_id = $1 and fence = $2
        """;

    /// <summary>Stripe did not answer: ends the lease, and lets the customer be until then.</summary>
    public static async Task PostponeAsync(NpgsqlConnection connection, Lease lease, DateTimeOffset until, CancellationToken cancellationToken)
    {
        await using var command = new NpgsqlCommand(PostponeSql, connection);
        command.Parameters.Add(new NpgsqlParameter<string> { TypedValue = lease.CustomerId });
        command.Parameters.Add(new NpgsqlParameter<long> { TypedValue = lease.Fence });
        command.Parameters.Add(new NpgsqlParameter<DateTime> { TypedValue = until.UtcDateTime });
        await command.ExecuteNonQueryAsync(cancellationToken);
    }

    const string YieldSql = """
        update pulse.stripe_customers set lease_until = null, next_sync_at = $3 where customer_id = $1 and fence = $2
        """;

    /// <summary>It was not its turn: ends the lease, and lets the customer be until then. No failure of anybody's.</summary>
    public static async Task YieldAsync(NpgsqlConnection connection, Lease lease, DateTimeOffset until, CancellationToken cancellationToken)
    {
        await using var command = new NpgsqlCommand(YieldSql, connection);
        command.Parameters.Add(new NpgsqlParameter<string> { TypedValue = lease.CustomerId });
        command.Parameters.Add(new NpgsqlParameter<long> { TypedValue = lease.Fence });
        command.Parameters.Add(new NpgsqlParameter<DateTime> { TypedValue = until.UtcDateTime });
        await command.ExecuteNonQueryAsync(cancellationToken);
    }

    const string BehindSql = "select count(*) from (select from pulse.stripe_customers where dirty > synced limit $1) behind";

    /// <summary>How many customers are behind; no more than the limit are counted.</summary>
    public static async Task<long> BehindAsync(NpgsqlConnection connection, int limit, CancellationToken cancellationToken)
    {
        await using var command = new NpgsqlCommand(BehindSql, connection);
        command.Parameters.Add(new NpgsqlParameter<int> { TypedValue = limit });
        return (long)(await command.ExecuteScalarAsync(cancellationToken))!;
    }

    const string ReleaseSql = """
        update pulse.stripe_customers set lease_until = null, problem = coalesce($3, problem) where customer_id = $1 and fence = $2
        """;

    /// <summary>Ends the lease of a sync that failed. Commits by itself.</summary>
    /// <param name="problem">What a person has to put right; null: what was known stays.</param>
    public static async Task ReleaseAsync(NpgsqlDataSource dataSource, Lease lease, string? problem, CancellationToken cancellationToken)
    {
        await using var command = dataSource.CreateCommand(ReleaseSql);
        command.Parameters.Add(new NpgsqlParameter<string> { TypedValue = lease.CustomerId });
        command.Parameters.Add(new NpgsqlParameter<long> { TypedValue = lease.Fence });
        command.Parameters.Add(Text(problem));
        await command.ExecuteNonQueryAsync(cancellationToken);
    }

    // A timer that stands at or before the moment will do: who it wakes too early sets the next.
    const string ArmSql = """
        update pulse.stripe_customers set timer_at = $2
        where customer_id = $1 and (timer_at is null or timer_at <= $3 or timer_at > $2)
        """;

    /// <summary>Notes that a timer stands.</summary>
    /// <returns>False: one does already, and the caller publishes none.</returns>
    public static async Task<bool> ArmAsync(NpgsqlConnection connection, string customerId, DateTimeOffset at, DateTimeOffset now, CancellationToken cancellationToken)
    {
        await using var command = new NpgsqlCommand(ArmSql, connection);
        command.Parameters.Add(new NpgsqlParameter<string> { TypedValue = customerId });
        command.Parameters.Add(new NpgsqlParameter<DateTime> { TypedValue = at.UtcDateTime });
        command.Parameters.Add(new NpgsqlParameter<DateTime> { TypedValue = now.UtcDateTime });
        return await command.ExecuteNonQueryAsync(cancellationToken) == 1;
    }

    // In the order of the key, as anybody who locks more than one.
    const string MarkSellingSql = """
        update pulse.stripe_customers set dirty = dirty + 1, dirty_at = $4
        where customer_id in (
            select customer_id from pulse.stripe_customers
            where (prices @> $1 or products @> $1) and customer_id collate "C" > $2
            order by customer_id collate "C" limit $3 for update)
        returning customer_id
        """;

    /// <summary>Marks a batch of the customers that have a price or a product.</summary>
    /// <param name="after">The last of the batch before.</param>
    public static async Task<List<string>> MarkSellingAsync(
        NpgsqlConnection connection, string priceOrProduct, string after, int limit, DateTimeOffset now, CancellationToken cancellationToken)
    {
        await using var command = new NpgsqlCommand(MarkSellingSql, connection);
        command.Parameters.Add(new NpgsqlParameter<string[]> { TypedValue = [priceOrProduct] });
        command.Parameters.Add(new NpgsqlParameter<string> { TypedValue = after });
        command.Parameters.Add(new NpgsqlParameter<int> { TypedValue = limit });
        command.Parameters.Add(new NpgsqlParameter<DateTime> { TypedValue = now.UtcDateTime });
        return await StringsAsync(command, cancellationToken);
    }

    const string OrgExistsSql = "select exists (select from pulse.organizations where org_id = $1 and not is_default)";

    /// <summary>Whether there is such an organization. The platform's own has no billing.</summary>
    public static async Task<bool> OrgExistsAsync(NpgsqlConnection connection, Guid orgId, CancellationToken cancellationToken)
    {
        await using var command = new NpgsqlCommand(OrgExistsSql, connection);
        command.Parameters.Add(new NpgsqlParameter<Guid> { TypedValue = orgId });
        return (bool)(await command.ExecuteScalarAsync(cancellationToken))!;
    }

    internal static NpgsqlParameter Text(string? value) => new() { NpgsqlDbType = NpgsqlDbType.Text, Value = (object?)value ?? DBNull.Value };

    internal static async Task<List<string>> StringsAsync(NpgsqlCommand command, CancellationToken cancellationToken)
    {
        var all = new List<string>();
        await using var row = await command.ExecuteReaderAsync(cancellationToken);
        while (await row.ReadAsync(cancellationToken))
            all.Add(row.GetString(0));
        return all;
    }

    static DateTimeOffset? Moment(NpgsqlDataReader row, int ordinal) =>
        row.IsDBNull(ordinal) ? null : new DateTimeOffset(row.GetDateTime(ordinal), TimeSpan.Zero);
}
