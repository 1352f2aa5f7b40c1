using Npgsql;
using Pulse.Worker.Billing.Stripe;

namespace Pulse.Worker.Billing;

/// <summary>How far the last reconciliation came.</summary>
/// <param name="PolledAt">Up to then Stripe's events have been compared with the inbox; null: never.</param>
sealed record ReconciliationState(DateTimeOffset? PolledAt);

/// <summary>A customer as it is stored.</summary>
sealed record StoredCustomer(string CustomerId, Guid? OrgId, string? Canonical, bool HasPending);

/// <summary>The statements of the reconciliation.</summary>
static class ReconciliationTable
{
    const string LeadSql = "select pg_try_advisory_lock(hashtext('pulse billing reconciliation'))";

    /// <summary>Becomes the one that reconciles, for as long as the connection's session lives, or until <see cref="ResignAsync"/>.</summary>
    public static async Task<bool> TryLeadAsync(NpgsqlConnection connection, CancellationToken cancellationToken)
    {
        await using var command = new NpgsqlCommand(LeadSql, connection);
        return await command.ExecuteScalarAsync(cancellationToken) is true;
    }

    const string ResignSql = "select pg_advisory_unlock(hashtext('pulse billing reconciliation'))";

    public static async Task ResignAsync(NpgsqlConnection connection)
    {
        await using var command = new NpgsqlCommand(ResignSql, connection);
        await command.ExecuteScalarAsync(CancellationToken.None);
    }

    const string StateSql = "select polled_at from pulse.stripe_reconciliation";

    public static async Task<ReconciliationState> StateAsync(NpgsqlDataSource dataSource, CancellationToken cancellationToken)
    {
        await using var command = dataSource.CreateCommand(StateSql);
        return new ReconciliationState(await command.ExecuteScalarAsync(cancellationToken) is DateTime at ? new DateTimeOffset(at, TimeSpan.Zero) : null);
    }

    const string AdvanceSql = """
        update pulse.stripe_reconciliation set polled_at = $1, sweep_before = coalesce($2, sweep_before)
        """;

    /// <param name="polledAt">When the look began that is now over.</param>
    /// <param name="sweepBefore">Every customer that was fetched earlier is to be fetched again; null: as it was.</param>
    public static NpgsqlBatchCommand Advance(DateTimeOffset polledAt, DateTimeOffset? sweepBefore) => new(AdvanceSql)
    {
        Parameters =
        {
            new NpgsqlParameter<DateTime> { TypedValue = polledAt.UtcDateTime },
            new NpgsqlParameter { NpgsqlDbType = NpgsqlTypes.NpgsqlDbType.TimestampTz, Value = (object?)sweepBefore?.UtcDateTime ?? DBNull.Value },
        },
    };

    const string MissingSql = """
        select listed.id from unnest($1::text[]) listed (id)
        where not exists (select from pulse.stripe_events e where e.event_id = listed.id)
        """;

    /// <summary>Which of these events are not in the inbox.</summary>
    public static async Task<List<string>> MissingAsync(NpgsqlDataSource dataSource, IEnumerable<string> events, CancellationToken cancellationToken)
    {
        await using var command = dataSource.CreateCommand(MissingSql);
        command.Parameters.Add(new NpgsqlParameter<string[]> { TypedValue = [.. events] });
        return await StripeCustomerTable.StringsAsync(command, cancellationToken);
    }

    // Not what waits for Stripe: that has a time at which it is tried again, and so has its customer. Once a day at most: what fails each
    // time would be a dead letter each time. Nor what a person has to mend first: that is not lost, and the daily sweep tries it.
    const string UnhandledSql = """
        select e.event_id from pulse.stripe_events e left join pulse.stripe_customers c using (customer_id)
        where e.status in ('received', 'pending') and e.received_at <= $1::timestamptz - $2::interval
          and (e.redriven_at is null or e.redriven_at <= $1::timestamptz - interval '1 day')
          and (e.next_at is null or e.next_at <= $1::timestamptz - $2::interval)
          and not (e.status = 'pending' and (c.problem is not null or coalesce(greatest(c.timer_at, c.lease_until) > $1, false)))
        order by e.received_at limit $3
        """;

    /// <summary>Events that came and were never done with.</summary>
    public static async Task<List<string>> UnhandledAsync(
        NpgsqlConnection connection, DateTimeOffset now, TimeSpan handlingTakes, int limit, CancellationToken cancellationToken)
    {
        await using var command = new NpgsqlCommand(UnhandledSql, connection);
        command.Parameters.Add(new NpgsqlParameter<DateTime> { TypedValue = now.UtcDateTime });
        command.Parameters.Add(new NpgsqlParameter<TimeSpan> { TypedValue = handlingTakes });
        command.Parameters.Add(new NpgsqlParameter<int> { TypedValue = limit });
        return await StripeCustomerTable.StringsAsync(command, cancellationToken);
    }

    const string RedriveSql = "update pulse.stripe_events set redriven_at = $2 where event_id = any($1)";

    public static NpgsqlBatchCommand Redrive(IReadOnlyCollection<string> events, DateTimeOffset now) => new(RedriveSql)
    {
        Parameters = { new NpgsqlParameter<string[]> { TypedValue = [.. events] }, new NpgsqlParameter<DateTime> { TypedValue = now.UtcDateTime } },
    };

    // One that is behind is on its way already, unless it is so for a day. Nobody's customers wait for an event, which will come.
    const string SweepSql = """
        update pulse.stripe_customers c
        set dirty = dirty + 1, dirty_at = $1,
            suspect = case when exists (select from pulse.stripe_events e where e.customer_id = c.customer_id and e.status = 'pending')
                then 'handler_failed' else 'webhook_missing' end
        where customer_id in (
            select customer_id from pulse.stripe_customers
            where (org_id is not null or problem is not null)
              and (fetched_at is null or fetched_at <= $1::timestamptz - $2::interval or fetched_at < (select sweep_before from pulse.stripe_reconciliation))
              and (dirty = synced or dirty_at is null or dirty_at <= $1::timestamptz - $2::interval)
            order by fetched_at nulls first limit $3 for update skip locked)
        returning customer_id
        """;

    /// <summary>Marks customers that were not fetched for long.</summary>
    public static async Task<List<string>> SweepAsync(
        NpgsqlConnection connection, DateTimeOffset now, TimeSpan every, int limit, CancellationToken cancellationToken)
    {
        await using var command = new NpgsqlCommand(SweepSql, connection);
        command.Parameters.Add(new NpgsqlParameter<DateTime> { TypedValue = now.UtcDateTime });
        command.Parameters.Add(new NpgsqlParameter<TimeSpan> { TypedValue = every });
        command.Parameters.Add(new NpgsqlParameter<int> { TypedValue = limit });
        return await StripeCustomerTable.StringsAsync(command, cancellationToken);
    }

    // One that was marked just now is on its way already: nothing has failed.
    const string MarkSql = """
        insert into pulse.stripe_customers (customer_id, dirty, dirty_at, suspect, created_at)
        select id, 1, $2, $3, $2 from unnest($1::text[]) listed (id) order by id collate "C"
        on conflict (customer_id) do update
        set dirty = stripe_customers.dirty + 1, dirty_at = excluded.dirty_at,
            suspect = case
                when stripe_customers.dirty > stripe_customers.synced and stripe_customers.dirty_at > $2::timestamptz - $4::interval then stripe_customers.suspect
                when exists (select from pulse.stripe_events e where e.customer_id = stripe_customers.customer_id and e.status = 'pending') then 'handler_failed'
                else excluded.suspect end
        """;

    /// <summary>Marks these customers, those that nobody has heard of as well.</summary>
    public static NpgsqlBatchCommand Mark(IEnumerable<string> customers, string? suspect, TimeSpan handlingTakes, DateTimeOffset now) => new(MarkSql)
    {
        Parameters =
        {
            new NpgsqlParameter<string[]> { TypedValue = [.. customers.Distinct(StringComparer.Ordinal)] },
            new NpgsqlParameter<DateTime> { TypedValue = now.UtcDateTime },
            StripeCustomerTable.Text(suspect),
            new NpgsqlParameter<TimeSpan> { TypedValue = handlingTakes },
        },
    };

    const string CustomersSql = """
        select customer_id, org_id, canonical::text,
            exists (select from pulse.stripe_events e where e.customer_id = c.customer_id and e.status = 'pending')
        from pulse.stripe_customers c
        where (org_id is not null or problem is not null) and customer_id collate "C" > $1
        order by customer_id collate "C" limit $2
        """;

    /// <summary>A page of the customers that belong to somebody, or are claimed.</summary>
    public static async Task<List<StoredCustomer>> CustomersAsync(NpgsqlDataSource dataSource, string after, int limit, CancellationToken cancellationToken)
    {
        await using var command = dataSource.CreateCommand(CustomersSql);
        command.Parameters.Add(new NpgsqlParameter<string> { TypedValue = after });
        command.Parameters.Add(new NpgsqlParameter<int> { TypedValue = limit });
        var page = new List<StoredCustomer>();
        await using var row = await command.ExecuteReaderAsync(cancellationToken);
        while (await row.ReadAsync(cancellationToken))
            page.Add(new StoredCustomer(row.GetString(0), row.IsDBNull(1) ? null : row.GetGuid(1), row.IsDBNull(2) ? null : row.GetString(2), row.GetBoolean(3)));
        return page;
    }

    // For a transaction that is rolled back: what would be. $2 as Postgres would have it, so that the two compare.
    const string SupposeSql = """
        update pulse.stripe_customers c set canonical = $2, org_id = $3
        from pulse.stripe_customers old
        where c.customer_id = $1 and old.customer_id = $1
        returning old.canonical is distinct from c.canonical, (select subscription_state from pulse.billing_states b where b.org_id = c.org_id)
        """;

    /// <summary>Writes what Stripe says, in a transaction that must not be committed.</summary>
    /// <returns>Whether that is something else, and the organization's state before.</returns>
    public static async Task<(bool Differs, string? State)> SupposeAsync(
        NpgsqlConnection connection, string customerId, Guid orgId, Canonical canonical, CancellationToken cancellationToken)
    {
        await using var command = new NpgsqlCommand(SupposeSql, connection);
        command.Parameters.Add(new NpgsqlParameter<string> { TypedValue = customerId });
        command.Parameters.Add(new NpgsqlParameter
        {
            NpgsqlDbType = NpgsqlTypes.NpgsqlDbType.Jsonb,
            Value = System.Text.Json.JsonSerializer.Serialize(canonical, Canonical.Json),
        });
        command.Parameters.Add(new NpgsqlParameter<Guid> { TypedValue = orgId });
        await using var row = await command.ExecuteReaderAsync(cancellationToken);
        return await row.ReadAsync(cancellationToken) ? (row.GetBoolean(0), row.IsDBNull(1) ? null : row.GetString(1)) : default;
    }

    const string AuditDriftSql = """
        select pulse.append_audit($1, 'reconciliation', 'billing.drift_healed', $2, null, jsonb_build_object('customer_id', $3::text, 'class', $4::text), $4::text)
        """;

    public static async Task AuditDriftAsync(
        NpgsqlConnection connection, DateTimeOffset now, Guid orgId, string customerId, string drift, CancellationToken cancellationToken)
    {
        await using var command = new NpgsqlCommand(AuditDriftSql, connection);
        command.Parameters.Add(new NpgsqlParameter<DateTime> { TypedValue = now.UtcDateTime });
        command.Parameters.Add(new NpgsqlParameter<Guid> { TypedValue = orgId });
        command.Parameters.Add(new NpgsqlParameter<string> { TypedValue = customerId });
        command.Parameters.Add(new NpgsqlParameter<string> { TypedValue = drift });
        await command.ExecuteNonQueryAsync(cancellationToken);
    }

    const string AuditRunSql = """
        select pulse.append_audit($1, 'reconciliation', 'billing.reconciled', null, null,
            jsonb_build_object('listed', $2::int, 'missing', $3::int, 'redriven', $4::int, 'swept', $5::int, 'full', $6::boolean), null)
        """;

    public static NpgsqlBatchCommand AuditRun(DateTimeOffset now, ReconciliationRun run) => new(AuditRunSql)
    {
        Parameters =
        {
            new NpgsqlParameter<DateTime> { TypedValue = now.UtcDateTime },
            new NpgsqlParameter<int> { TypedValue = run.Listed },
            new NpgsqlParameter<int> { TypedValue = run.Missing },
            new NpgsqlParameter<int> { TypedValue = run.Redriven },
            new NpgsqlParameter<int> { TypedValue = run.Swept },
            new NpgsqlParameter<bool> { TypedValue = run.Full },
        },
    };
}
