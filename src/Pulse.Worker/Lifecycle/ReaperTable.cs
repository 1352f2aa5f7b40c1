using Npgsql;
using Pulse.Messaging;

namespace Pulse.Worker.Lifecycle;

/// <summary>What the reaper sees of an organization, and of all others, under its locks.</summary>
/// <param name="Organization">Its row, locked; null: there is none.</param>
/// <param name="Database">The database's own time.</param>
/// <param name="Approved">An operator has confirmed this deletion's purge.</param>
/// <param name="Due">Unconfirmed ones that are due, counted up to one more than the limit can be; not counted for one that is confirmed.</param>
/// <param name="Begun">Unconfirmed ones that began within the last sweep's time; likewise.</param>
/// <param name="Organizations">All there are, counted as far as the limit grows with them; likewise.</param>
sealed record ReaperView(Organization? Organization, DateTimeOffset Database, bool Approved, long Due, long Begun, long Organizations);

/// <summary>An organization that is due.</summary>
readonly record struct DueOrganization(Guid OrgId, Guid DeletionId);

/// <summary>Statements of the reaper.</summary>
static class ReaperTable
{
    const string DatabaseTimeSql = "select pulse.database_time()";

    public static async Task<DateTimeOffset> DatabaseTimeAsync(NpgsqlDataSource dataSource, CancellationToken cancellationToken)
    {
        await using var command = dataSource.CreateCommand(DatabaseTimeSql);
        return new DateTimeOffset((DateTime)(await command.ExecuteScalarAsync(cancellationToken))!, TimeSpan.Zero);
    }

    const string ApprovedOneSql = "select pulse.database_time(), exists (select from pulse.purge_approvals where deletion_id = $1)";

    // One unconfirmed beginning at a time, over all workers: what is counted stays so until the commit.
    const string OneAtATimeSql = "select pg_advisory_xact_lock(5711900611840364405)";

    // Counts end where they no longer matter, so that ten thousand that are due are not counted ten thousand times. The tombstones' part is
    // for purges that began and ended within a sweep's time.
    const string CountsSql = """
        select pulse.database_time(),
            (select count(*) from (select from pulse.reaper_due($1) limit $2 + 1) due),
            (select count(*) from (
                select from pulse.purges where started_at > $1::timestamptz - $3::interval and not approved
                union all
                select from pulse.tombstones where started_at > $1::timestamptz - $3::interval and not approved) begun),
            (select count(*) from (select from pulse.organizations where not is_default limit $4) every)
        """;

    /// <summary>Locks the organization; and, unless its purge is confirmed, beginning, and counts: what is confirmed is under no limit.</summary>
    public static async Task<ReaperView> LookAsync(
        NpgsqlConnection connection, Guid orgId, Guid deletionId, DateTimeOffset now, ReaperOptions options, CancellationToken cancellationToken)
    {
        var seen = await ReadOneAsync(connection, orgId, deletionId, cancellationToken);
        return seen.Approved ? seen : await CountAsync(connection, now, options, cancellationToken) with { Organization = seen.Organization };
    }

    static async Task<ReaperView> ReadOneAsync(NpgsqlConnection connection, Guid orgId, Guid deletionId, CancellationToken cancellationToken)
    {
        await using var batch = new NpgsqlBatch(connection)
        {
            BatchCommands =
            {
                new NpgsqlBatchCommand(LifecycleTable.LockSql) { Parameters = { new NpgsqlParameter<Guid> { TypedValue = orgId } } },
                new NpgsqlBatchCommand(ApprovedOneSql) { Parameters = { new NpgsqlParameter<Guid> { TypedValue = deletionId } } },
            },
        };
        await using var row = await batch.ExecuteReaderAsync(cancellationToken);
        var organization = await row.ReadAsync(cancellationToken) ? LifecycleTable.Read(orgId, row) : null;
        await row.NextResultAsync(cancellationToken);
        await row.ReadAsync(cancellationToken);
        return new ReaperView(organization, Time(row), row.GetBoolean(1), 0, 0, 0);
    }

    /// <summary>Locks beginning, and counts.</summary>
    public static async Task<ReaperView> CountAsync(NpgsqlConnection connection, DateTimeOffset now, ReaperOptions options, CancellationToken cancellationToken)
    {
        await using var batch = new NpgsqlBatch(connection)
        {
            BatchCommands =
            {
                new NpgsqlBatchCommand(OneAtATimeSql),
                new NpgsqlBatchCommand(CountsSql)
                {
                    Parameters =
                    {
                        new NpgsqlParameter<DateTime> { TypedValue = now.UtcDateTime },
                        new NpgsqlParameter<int> { TypedValue = options.Most },
                        new NpgsqlParameter<TimeSpan> { TypedValue = options.SweepEvery },
                        new NpgsqlParameter<long> { TypedValue = (long)Math.Ceiling(options.Most / options.Share) },
                    },
                },
            },
        };
        await using var row = await batch.ExecuteReaderAsync(cancellationToken);
        await row.NextResultAsync(cancellationToken);
        await row.ReadAsync(cancellationToken);
        return new ReaperView(null, Time(row), false, row.GetInt64(1), row.GetInt64(2), row.GetInt64(3));
    }

    static DateTimeOffset Time(NpgsqlDataReader row) => new(row.GetDateTime(0), TimeSpan.Zero);

    const string BeginSql = "update pulse.organizations set purge_started_at = $2 where org_id = $1";

    const string InsertPurgeSql = """
        insert into pulse.purges (purge_id, org_id, step, requested_at, started_at, approved, export_waived, next_at)
        values ($1, $2, case when $6 then 'deprovision' else 'export' end, $3, $4, $5, $6, $7)
        """;

    /// <summary>From here on nothing brings it back.</summary>
    public static void Begin(MessageTransaction transaction, Organization organization, bool approved, DateTimeOffset now, DateTimeOffset nextAt)
    {
        transaction.Defer(new NpgsqlBatchCommand(BeginSql)
        {
            Parameters = { new NpgsqlParameter<Guid> { TypedValue = organization.OrgId }, new NpgsqlParameter<DateTime> { TypedValue = now.UtcDateTime } },
        });
        transaction.Defer(new NpgsqlBatchCommand(InsertPurgeSql)
        {
            Parameters =
            {
                new NpgsqlParameter<Guid> { TypedValue = organization.DeletionId!.Value },
                new NpgsqlParameter<Guid> { TypedValue = organization.OrgId },
                new NpgsqlParameter<DateTime> { TypedValue = organization.DeletionRequestedAt!.Value.UtcDateTime },
                new NpgsqlParameter<DateTime> { TypedValue = now.UtcDateTime },
                new NpgsqlParameter<bool> { TypedValue = approved },
                new NpgsqlParameter<bool> { TypedValue = organization.ExportWaived },
                new NpgsqlParameter<DateTime> { TypedValue = nextAt.UtcDateTime },
            },
        });
    }

    const string DueSql = "select org_id, deletion_id from pulse.reaper_due($1) order by purge_after limit $2";

    /// <summary>Those that are due and not confirmed, the longest first.</summary>
    public static Task<List<DueOrganization>> DueAsync(NpgsqlConnection connection, DateTimeOffset now, int limit, CancellationToken cancellationToken) =>
        ListAsync(connection, DueSql, cancellationToken, new NpgsqlParameter<DateTime> { TypedValue = now.UtcDateTime }, new NpgsqlParameter<int> { TypedValue = limit });

    const string ApprovedSql = """
        select a.org_id, a.deletion_id from pulse.purge_approvals a join pulse.organizations o using (org_id, deletion_id)
        where o.purge_started_at is null and o.legal_hold_at is null limit $1
        """;

    /// <summary>Those that were confirmed and have not begun.</summary>
    public static Task<List<DueOrganization>> ApprovedAsync(NpgsqlConnection connection, int limit, CancellationToken cancellationToken) =>
        ListAsync(connection, ApprovedSql, cancellationToken, new NpgsqlParameter<int> { TypedValue = limit });

    const string HashSql = "select pulse.reaper_hash($1)";

    /// <summary>Locks beginning, and tells the hash of what is due and not confirmed.</summary>
    public static async Task<string> HashAsync(NpgsqlConnection connection, DateTimeOffset now, CancellationToken cancellationToken)
    {
        await using var batch = new NpgsqlBatch(connection)
        {
            BatchCommands =
            {
                new NpgsqlBatchCommand(OneAtATimeSql),
                new NpgsqlBatchCommand(HashSql) { Parameters = { new NpgsqlParameter<DateTime> { TypedValue = now.UtcDateTime } } },
            },
        };
        await using var row = await batch.ExecuteReaderAsync(cancellationToken);
        await row.NextResultAsync(cancellationToken);
        await row.ReadAsync(cancellationToken);
        return row.GetString(0);
    }

    const string ApproveSql = """
        insert into pulse.purge_approvals (deletion_id, org_id, operation_id, approved_at)
        select deletion_id, org_id, $2, $1 from pulse.reaper_due($1)
        on conflict (deletion_id) do nothing
        returning org_id, deletion_id
        """;

    /// <summary>Confirms all that are due.</summary>
    public static Task<List<DueOrganization>> ApproveAsync(NpgsqlConnection connection, Guid operationId, DateTimeOffset now, CancellationToken cancellationToken) =>
        ListAsync(connection, ApproveSql, cancellationToken, new NpgsqlParameter<DateTime> { TypedValue = now.UtcDateTime }, new NpgsqlParameter<Guid> { TypedValue = operationId });

    static async Task<List<DueOrganization>> ListAsync(NpgsqlConnection connection, string sql, CancellationToken cancellationToken, params NpgsqlParameter[] parameters)
    {
        await using var command = new NpgsqlCommand(sql, connection);
        command.Parameters.AddRange(parameters);
        var all = new List<DueOrganization>();
        await using var row = await command.ExecuteReaderAsync(cancellationToken);
        while (await row.ReadAsync(cancellationToken))
            all.Add(new DueOrganization(row.GetGuid(0), row.GetGuid(1)));
        return all;
    }

    // The index of purge_after, and tables that are small but for a purge of many.
    const string WatchSql = """
        select pulse.database_time(), (select count(*) from pulse.reaper_due($1)),
            (select count(*) from (select from pulse.organizations where not is_default limit $2) every),
            array(select coalesce(waiting, case when step = 'deprovision' then 'deprovision' else 'under_way' end) from pulse.purges)
        """;

    public sealed record Watched(DateTimeOffset Database, long Due, long Organizations, string[] Purges);

    /// <summary>What the gauges show.</summary>
    public static async Task<Watched> WatchAsync(NpgsqlDataSource dataSource, DateTimeOffset now, ReaperOptions options, CancellationToken cancellationToken)
    {
        await using var command = dataSource.CreateCommand(WatchSql);
        command.Parameters.Add(new NpgsqlParameter<DateTime> { TypedValue = now.UtcDateTime });
        command.Parameters.Add(new NpgsqlParameter<long> { TypedValue = (long)Math.Ceiling(options.Most / options.Share) });
        await using var row = await command.ExecuteReaderAsync(cancellationToken);
        await row.ReadAsync(cancellationToken);
        return new Watched(new DateTimeOffset(row.GetDateTime(0), TimeSpan.Zero), row.GetInt64(1), row.GetInt64(2), row.GetFieldValue<string[]>(3));
    }
}
