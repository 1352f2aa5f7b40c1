using Npgsql;

namespace Pulse.Worker.Billing;

/// <summary>What Stripe is asked to do for a deletion: its row, locked.</summary>
/// <param name="Subscriptions">Those that were going on when it was deleted.</param>
/// <param name="Cancelled">Of these, those that Stripe has been told about.</param>
/// <param name="Resumed">Of these, those that it was told about again.</param>
/// <param name="Stands">The organization is still deleted, by this deletion.</param>
sealed record StripeDeletion(IReadOnlyList<string> Subscriptions, IReadOnlyList<string> Cancelled, IReadOnlyList<string> Resumed, int Failures, bool Stands);

/// <summary>Statements on <c>pulse.stripe_deletions</c>.</summary>
static class StripeDeletionTable
{
    const string PlannedSql = "select exists (select from pulse.stripe_deletions where deletion_id = $1)";

    public static async Task<bool> IsPlannedAsync(NpgsqlDataSource dataSource, Guid deletionId, CancellationToken cancellationToken)
    {
        await using var command = dataSource.CreateCommand(PlannedSql);
        command.Parameters.Add(new NpgsqlParameter<Guid> { TypedValue = deletionId });
        return (bool)(await command.ExecuteScalarAsync(cancellationToken))!;
    }

    const string CustomersSql = "select customer_id from pulse.stripe_customers where org_id = $1 order by customer_id";

    public static async Task<List<string>> CustomersAsync(NpgsqlDataSource dataSource, Guid orgId, CancellationToken cancellationToken)
    {
        await using var command = dataSource.CreateCommand(CustomersSql);
        command.Parameters.Add(new NpgsqlParameter<Guid> { TypedValue = orgId });
        var all = new List<string>();
        await using var row = await command.ExecuteReaderAsync(cancellationToken);
        while (await row.ReadAsync(cancellationToken))
            all.Add(row.GetString(0));
        return all;
    }

    // Not for an organization that has gone meanwhile, nor for a deletion that was taken back: there is nothing to do for it.
    const string PlanSql = """
        insert into pulse.stripe_deletions (deletion_id, org_id, subscriptions, cancelled_at)
        select $1, org_id, $3, case when $3 = '{}' then $4::timestamptz end from pulse.organizations where org_id = $2 and deletion_id = $1
        on conflict (deletion_id) do nothing
        """;

    /// <summary>Writes down what is to be cancelled, before anything is.</summary>
    /// <returns>False: there is nothing more to do.</returns>
    public static async Task<bool> PlanAsync(
        NpgsqlConnection connection, Guid deletionId, Guid orgId, IReadOnlyList<string> subscriptions, DateTimeOffset now, CancellationToken cancellationToken)
    {
        await using var command = new NpgsqlCommand(PlanSql, connection);
        command.Parameters.Add(new NpgsqlParameter<Guid> { TypedValue = deletionId });
        command.Parameters.Add(new NpgsqlParameter<Guid> { TypedValue = orgId });
        command.Parameters.Add(new NpgsqlParameter<string[]> { TypedValue = [.. subscriptions] });
        command.Parameters.Add(new NpgsqlParameter<DateTime> { TypedValue = now.UtcDateTime });
        return await command.ExecuteNonQueryAsync(cancellationToken) == 1 && subscriptions.Count > 0;
    }

    const string LockSql = """
        select d.subscriptions, d.cancelled, d.resumed, d.failures, exists (select from pulse.organizations o where o.org_id = d.org_id and o.deletion_id = d.deletion_id)
        from pulse.stripe_deletions d where d.deletion_id = $1 for update
        """;

    /// <returns>Null: nothing was planned for it.</returns>
    public static async Task<StripeDeletion?> LockAsync(NpgsqlConnection connection, Guid deletionId, CancellationToken cancellationToken)
    {
        await using var command = new NpgsqlCommand(LockSql, connection);
        command.Parameters.Add(new NpgsqlParameter<Guid> { TypedValue = deletionId });
        await using var row = await command.ExecuteReaderAsync(cancellationToken);
        return await row.ReadAsync(cancellationToken)
            ? new StripeDeletion(row.GetFieldValue<string[]>(0), row.GetFieldValue<string[]>(1), row.GetFieldValue<string[]>(2), row.GetInt32(3), row.GetBoolean(4))
            : null;
    }

    const string DoneSql = """
        update pulse.stripe_deletions
        set cancelled = case when $3 then cancelled else array_append(cancelled, $2) end, resumed = case when $3 then array_append(resumed, $2) else resumed end, failures = 0
        where deletion_id = $1
        """;

    /// <summary>Stripe has been told about one.</summary>
    public static async Task DoneAsync(NpgsqlConnection connection, Guid deletionId, string subscription, bool resumed, CancellationToken cancellationToken)
    {
        await using var command = new NpgsqlCommand(DoneSql, connection);
        command.Parameters.Add(new NpgsqlParameter<Guid> { TypedValue = deletionId });
        command.Parameters.Add(new NpgsqlParameter<string> { TypedValue = subscription });
        command.Parameters.Add(new NpgsqlParameter<bool> { TypedValue = resumed });
        await command.ExecuteNonQueryAsync(cancellationToken);
    }

    const string CompleteSql = """
        update pulse.stripe_deletions
        set cancelled_at = coalesce(cancelled_at, $2), resumed_at = case when $3 then $2::timestamptz else resumed_at end
        where deletion_id = $1
        """;

    /// <summary>Stripe has been told about all of them.</summary>
    public static NpgsqlBatchCommand Complete(Guid deletionId, bool resumed, DateTimeOffset now) => new(CompleteSql)
    {
        Parameters =
        {
            new NpgsqlParameter<Guid> { TypedValue = deletionId },
            new NpgsqlParameter<DateTime> { TypedValue = now.UtcDateTime },
            new NpgsqlParameter<bool> { TypedValue = resumed },
        },
    };

    const string FailedSql = "update pulse.stripe_deletions set failures = failures + 1 where deletion_id = $1";

    public static NpgsqlBatchCommand Failed(Guid deletionId) => new(FailedSql) { Parameters = { new NpgsqlParameter<Guid> { TypedValue = deletionId } } };
}
