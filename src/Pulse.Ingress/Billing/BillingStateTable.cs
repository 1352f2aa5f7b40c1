using System.Data;
using System.Text.Json;
using Npgsql;

namespace Pulse.Ingress.Billing;

/// <summary>What ingress reads of billing.</summary>
static class BillingStateTable
{
    const string FindSql = "select version, lifecycle, unlimited, timeline, as_of from pulse.entitlements_v1 where org_id = $1";

    /// <summary>Null: there is no such organization.</summary>
    public static async Task<EntitlementRow?> FindAsync(NpgsqlDataSource dataSource, Guid orgId, CancellationToken cancellationToken)
    {
        await using var command = dataSource.CreateCommand(FindSql);
        command.Parameters.Add(Value(orgId));
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        return await ReadAsync(reader, orgId, cancellationToken);
    }

    const string NameSql = "select name from pulse.organizations_v1 where org_id = $1";

    public static async Task<string?> NameAsync(NpgsqlDataSource dataSource, Guid orgId, CancellationToken cancellationToken)
    {
        await using var command = dataSource.CreateCommand(NameSql);
        command.Parameters.Add(Value(orgId));
        return await command.ExecuteScalarAsync(cancellationToken) as string;
    }

    const string PlanSql = "select exists (select from pulse.plan_versions where plan_version = $1)";

    public static async Task<bool> IsPlanAsync(NpgsqlDataSource dataSource, string planVersion, CancellationToken cancellationToken)
    {
        await using var command = dataSource.CreateCommand(PlanSql);
        command.Parameters.Add(Value(planVersion));
        return (bool)(await command.ExecuteScalarAsync(cancellationToken))!;
    }

    const string OverridesSql = """
        select override_id, effect, state, reason, actor, created_at, expires_at, revoked_at, revoked_by,
            revoked_at is null and (expires_at is null or expires_at > $2) as in_force
        from pulse.billing_overrides_v1 where org_id = $1
        order by in_force desc, created_at desc, override_id desc limit 50
        """;

    const string CustomersSql = """
        select customer_id, linked_by, linked_at, dirty <= synced, fetched_at, next_sync_at, failures, problem, canonical -> 'subscriptions', canonical -> 'open_invoices'
        from pulse.stripe_customers_v1 where org_id = $1
        order by linked_at desc nulls last, customer_id limit 50
        """;

    // The newest of each customer by its index, and of these the newest.
    const string EventsSql = """
        select e.event_id, c.customer_id, e.type, e.status, e.created_at, e.received_at, e.completed_at
        from (select customer_id from pulse.stripe_customers_v1 where org_id = $1 order by linked_at desc nulls last, customer_id limit 50) c
        cross join lateral (
            select event_id, type, status, created_at, received_at, completed_at from pulse.stripe_events_v1
            where customer_id = c.customer_id order by received_at desc limit 20) e
        order by e.received_at desc, e.event_id limit 20
        """;

    /// <summary>All that has a say, as it was at one moment; null: there is no such organization.</summary>
    public static async Task<BillingFacts?> FactsAsync(NpgsqlDataSource dataSource, Guid orgId, DateTime now, CancellationToken cancellationToken)
    {
        await using var connection = await dataSource.OpenConnectionAsync(cancellationToken);
        await using var transaction = await connection.BeginTransactionAsync(IsolationLevel.RepeatableRead, cancellationToken);
        await using var batch = new NpgsqlBatch(connection, transaction)
        {
            BatchCommands =
            {
                new NpgsqlBatchCommand(FindSql) { Parameters = { Value(orgId) } },
                new NpgsqlBatchCommand(OverridesSql) { Parameters = { Value(orgId), Value(now) } },
                new NpgsqlBatchCommand(CustomersSql) { Parameters = { Value(orgId) } },
                new NpgsqlBatchCommand(EventsSql) { Parameters = { Value(orgId) } },
            },
        };
        await using var reader = await batch.ExecuteReaderAsync(cancellationToken);
        if (await ReadAsync(reader, orgId, cancellationToken) is not { } entitlements)
            return null;

        await reader.NextResultAsync(cancellationToken);
        var overrides = new List<ExplainedOverride>();
        while (await reader.ReadAsync(cancellationToken))
        {
            overrides.Add(new ExplainedOverride(
                reader.GetGuid(0), reader.GetString(1), Json(reader, 2)!.Value, Text(reader, 3), reader.GetString(4), reader.GetDateTime(5),
                Time(reader, 6), Time(reader, 7), Text(reader, 8), reader.GetBoolean(9), Won: false));
        }

        await reader.NextResultAsync(cancellationToken);
        var customers = new List<ExplainedCustomer>();
        while (await reader.ReadAsync(cancellationToken))
        {
            customers.Add(new ExplainedCustomer(
                reader.GetString(0), Text(reader, 1), Time(reader, 2), reader.GetBoolean(3), Time(reader, 4), Time(reader, 5), reader.GetInt32(6), Text(reader, 7),
                Json(reader, 8), Json(reader, 9)));
        }

        await reader.NextResultAsync(cancellationToken);
        var events = new List<ExplainedEvent>();
        while (await reader.ReadAsync(cancellationToken))
        {
            events.Add(new ExplainedEvent(
                reader.GetString(0), reader.GetString(1), reader.GetString(2), reader.GetString(3), Time(reader, 4), reader.GetDateTime(5), Time(reader, 6)));
        }

        return new BillingFacts(entitlements, overrides, customers, events);
    }

    static async Task<EntitlementRow?> ReadAsync(NpgsqlDataReader reader, Guid orgId, CancellationToken cancellationToken) =>
        await reader.ReadAsync(cancellationToken)
            ? new EntitlementRow
            {
                OrgId = orgId,
                Version = reader.GetInt64(0),
                Lifecycle = reader.GetString(1),
                Unlimited = reader.GetBoolean(2),
                Timeline = JsonSerializer.Deserialize(reader.GetString(3), BillingJson.Default.ListTimelineSegment) ?? [],
                AsOf = reader.GetDateTime(4),
            }
            : null;

    static string? Text(NpgsqlDataReader reader, int column) => reader.IsDBNull(column) ? null : reader.GetString(column);

    static DateTime? Time(NpgsqlDataReader reader, int column) => reader.IsDBNull(column) ? null : reader.GetDateTime(column);

    static JsonElement? Json(NpgsqlDataReader reader, int column) =>
        reader.IsDBNull(column) ? null : JsonSerializer.Deserialize(reader.GetString(column), BillingJson.Default.JsonElement);

    static NpgsqlParameter<T> Value<T>(T value) => new() { TypedValue = value };
}

/// <summary>All that has a say in a billing state.</summary>
sealed record BillingFacts(
    EntitlementRow Entitlements, IReadOnlyList<ExplainedOverride> Overrides, IReadOnlyList<ExplainedCustomer> Customers, IReadOnlyList<ExplainedEvent> Events);
