using Npgsql;
using NpgsqlTypes;
using Pulse.Contracts.Lifecycle;
using Pulse.Messaging;
using Pulse.Messaging.Outbox;

namespace Pulse.Worker.Lifecycle;

/// <summary>A purge under way: its row, locked.</summary>
sealed record PurgeState(Guid PurgeId, Guid OrgId, string Step, int Attempts, string? Waiting)
{
    public string Cause => $"purge:{PurgeId}";
}

/// <summary>What the deletion of the rows found.</summary>
/// <param name="Counts">JSON: rows by table.</param>
/// <param name="Emails">What nothing may be left of.</param>
sealed record DeletedRows(string Counts, string[] Emails);

/// <summary>A purge that is to be certified.</summary>
/// <param name="Certificate">JSON: the export's hash, its size, the rows by table.</param>
sealed record Certifiable(Guid PurgeId, Guid OrgId, string[] Emails, int Attempts, DateTimeOffset StartedAt, string Certificate);

/// <summary>Something that is left of an organization.</summary>
readonly record struct Residue(string Place, string Word, long Found);

/// <summary>Whose turn it is to look through the database.</summary>
enum LookTurn
{
    /// <summary>This one's.</summary>
    Own,

    /// <summary>Another looks at this moment.</summary>
    Others,

    /// <summary>Nobody's: the purge is over, served by an earlier look.</summary>
    Served,
}

/// <summary>Statements of purges under way.</summary>
static class PurgeTable
{
    // What reads whole tables takes its time when they have grown. Shorter than RabbitMQ leaves a message unacknowledged.
    const int LongSeconds = 900;

    const string LockSql = "select org_id, step, attempts, waiting from pulse.purges where purge_id = $1 for update";

    /// <summary>Locks a purge.</summary>
    /// <returns>Null: it is over, or never was.</returns>
    public static async Task<PurgeState?> LockAsync(MessageTransaction transaction, Guid purgeId, CancellationToken cancellationToken) =>
        await transaction.QueryAsync(
            new NpgsqlBatchCommand(LockSql) { Parameters = { new NpgsqlParameter<Guid> { TypedValue = purgeId } } },
            async (row, cancellation) => await row.ReadAsync(cancellation)
                ? new PurgeState(purgeId, row.GetGuid(0), row.GetString(1), row.GetInt32(2), row.IsDBNull(3) ? null : row.GetString(3))
                : null,
            cancellationToken);

    const string AdvanceSql = """
        update pulse.purges
        set step = $2, next_at = $3, waiting = null, waiting_since = null, attempts = 0,
            export_sha256 = coalesce($4, export_sha256), export_bytes = coalesce($5, export_bytes), counts = coalesce($6, counts), emails = coalesce($7, emails)
        where purge_id = $1
        """;

    /// <summary>A step is done; what it found is kept.</summary>
    public static NpgsqlBatchCommand Advance(Guid purgeId, string step, DateTimeOffset nextAt, Exported? exported = null, DeletedRows? deleted = null) => new(AdvanceSql)
    {
        Parameters =
        {
            new NpgsqlParameter<Guid> { TypedValue = purgeId },
            new NpgsqlParameter<string> { TypedValue = step },
            new NpgsqlParameter<DateTime> { TypedValue = nextAt.UtcDateTime },
            new NpgsqlParameter { Value = (object?)exported?.Sha256 ?? DBNull.Value, NpgsqlDbType = NpgsqlDbType.Bytea },
            new NpgsqlParameter { Value = (object?)exported?.Bytes ?? DBNull.Value, NpgsqlDbType = NpgsqlDbType.Bigint },
            new NpgsqlParameter { Value = (object?)deleted?.Counts ?? DBNull.Value, NpgsqlDbType = NpgsqlDbType.Jsonb },
            new NpgsqlParameter { Value = (object?)deleted?.Emails ?? DBNull.Value, NpgsqlDbType = NpgsqlDbType.Array | NpgsqlDbType.Text },
        },
    };

    const string WaitSql = """
        update pulse.purges
        set waiting = $2, waiting_since = case when waiting = $2 then waiting_since else $3 end, attempts = attempts + 1, next_at = $4
        where purge_id = $1
        """;

    /// <summary>It can't go on, and that is to be seen.</summary>
    public static NpgsqlBatchCommand Wait(Guid purgeId, string reason, DateTimeOffset now, DateTimeOffset nextAt) => new(WaitSql)
    {
        Parameters =
        {
            new NpgsqlParameter<Guid> { TypedValue = purgeId },
            new NpgsqlParameter<string> { TypedValue = reason },
            new NpgsqlParameter<DateTime> { TypedValue = now.UtcDateTime },
            new NpgsqlParameter<DateTime> { TypedValue = nextAt.UtcDateTime },
        },
    };

    const string WaitsForSql = "select pulse.purge_waits_for($1, $2)";

    /// <summary>What has to be done outside before the rows may go; null: nothing.</summary>
    public static Task<string?> WaitsForAsync(MessageTransaction transaction, PurgeState purge, CancellationToken cancellationToken) => transaction.QueryAsync(
        new NpgsqlBatchCommand(WaitsForSql)
        {
            Parameters = { new NpgsqlParameter<Guid> { TypedValue = purge.OrgId }, new NpgsqlParameter<Guid> { TypedValue = purge.PurgeId } },
        },
        async (row, cancellation) => await row.ReadAsync(cancellation) && !row.IsDBNull(0) ? row.GetString(0) : null,
        cancellationToken);

    const string DeleteSql = "select counts::text, emails from pulse.purge_rows($1)";

    /// <summary>Deletes every row of an organization.</summary>
    /// <exception cref="PostgresException">A trigger refuses: it is under legal hold, say.</exception>
    public static async Task<DeletedRows> DeleteAsync(NpgsqlConnection connection, Guid orgId, CancellationToken cancellationToken)
    {
        await using var command = new NpgsqlCommand(DeleteSql, connection) { CommandTimeout = LongSeconds };
        command.Parameters.Add(new NpgsqlParameter<Guid> { TypedValue = orgId });
        await using var row = await command.ExecuteReaderAsync(cancellationToken);
        await row.ReadAsync(cancellationToken);
        return new DeletedRows(row.GetString(0), row.GetFieldValue<string[]>(1));
    }

    // One look through the database at a time, and nobody waits for it.
    const string TurnSql = """
        select case
            when not exists (select from pulse.purges where purge_id = $1 and step = 'certify') then 'served'
            when pg_try_advisory_xact_lock(5711900611840364406) then 'own'
            else 'others' end
        """;

    /// <summary>Whose look through the database it is. Once it is this one's, nobody else looks until the transaction ends.</summary>
    public static Task<LookTurn> TurnAsync(MessageTransaction transaction, Guid purgeId, CancellationToken cancellationToken) => transaction.QueryAsync(
        new NpgsqlBatchCommand(TurnSql) { Parameters = { new NpgsqlParameter<Guid> { TypedValue = purgeId } } },
        async (row, cancellation) =>
        {
            await row.ReadAsync(cancellation);
            return row.GetString(0) switch { "own" => LookTurn.Own, "others" => LookTurn.Others, _ => LookTurn.Served };
        },
        cancellationToken);

    // SKIP LOCKED: one look through the database serves all that wait for one, and nobody waits for another's look.
    const string CertifiableSql = """
        select purge_id, org_id, emails, attempts, started_at,
            jsonb_build_object('export_sha256', encode(export_sha256, 'hex'), 'export_bytes', export_bytes, 'rows_deleted', counts)::text
        from pulse.purges where step = 'certify' order by purge_id = $1 desc, next_at limit $2 for update skip locked
        """;

    /// <summary>Locks the purges that wait for their certificate.</summary>
    /// <param name="purgeId">This one first.</param>
    public static Task<List<Certifiable>> CertifiableAsync(MessageTransaction transaction, Guid purgeId, int limit, CancellationToken cancellationToken) =>
        transaction.QueryAsync(
            new NpgsqlBatchCommand(CertifiableSql)
            {
                Parameters = { new NpgsqlParameter<Guid> { TypedValue = purgeId }, new NpgsqlParameter<int> { TypedValue = limit } },
            },
            async (row, cancellation) =>
            {
                var all = new List<Certifiable>();
                while (await row.ReadAsync(cancellation))
                    all.Add(new Certifiable(
                        row.GetGuid(0), row.GetGuid(1), row.GetFieldValue<string[]>(2), row.GetInt32(3), new DateTimeOffset(row.GetDateTime(4), TimeSpan.Zero), row.GetString(5)));
                return all;
            },
            cancellationToken);

    const string ResidueSql = "select place, word, found from pulse.residue($1, $2)";

    const string ColumnsSql = "select count(*)::int from pulse.residue_columns";

    /// <summary>Looks through the whole database for organizations and emails, but for what Stripe told of purged ones meanwhile: that is forgotten first.</summary>
    /// <returns>Into how many columns it looked, and what is left.</returns>
    public static async Task<(int Columns, List<Residue> Found)> ResidueAsync(NpgsqlConnection connection, Guid[] orgs, string[] emails, CancellationToken cancellationToken)
    {
        await using var batch = new NpgsqlBatch(connection)
        {
            BatchCommands =
            {
                new NpgsqlBatchCommand(ForgetStraysSql),
                new NpgsqlBatchCommand(ColumnsSql),
                new NpgsqlBatchCommand(ResidueSql) { Parameters = { new NpgsqlParameter<Guid[]> { TypedValue = orgs }, new NpgsqlParameter<string[]> { TypedValue = emails } } },
            },
        };
        batch.Timeout = LongSeconds;
        await using var row = await batch.ExecuteReaderAsync(cancellationToken);
        await row.NextResultAsync(cancellationToken);
        await row.ReadAsync(cancellationToken);
        var columns = row.GetInt32(0);
        await row.NextResultAsync(cancellationToken);
        var found = new List<Residue>();
        while (await row.ReadAsync(cancellationToken))
            found.Add(new Residue(row.GetString(0), row.GetString(1), row.GetInt64(2)));
        return (columns, found);
    }

    // The audit entry's number is in the tombstone, so they are one statement, and the last of the transaction.
    const string BurySql = """
        with purge as (delete from pulse.purges where purge_id = $1 returning *)
        insert into pulse.tombstones (org_id, purge_id, email_hashes, requested_at, started_at, purged_at, approved, export_sha256, export_bytes, counts,
            residue_columns, residue_rows, audit_seq)
        select org_id, purge_id, array(select sha256(convert_to(org_id || ' ' || e, 'UTF8')) from unnest(emails) e order by 1), requested_at, started_at, $2, approved,
            export_sha256, export_bytes, counts, $3, 0, pulse.append_audit($2, $4, 'organization_purged', org_id, null, $5, 'purge:' || purge_id)
        from purge
        """;

    /// <summary>The purge goes, the tombstone comes, and the audit log has its last entry of the organization.</summary>
    public static NpgsqlBatchCommand Bury(Certifiable purge, int columns, string actor, DateTimeOffset now) => new(BurySql)
    {
        Parameters =
        {
            new NpgsqlParameter<Guid> { TypedValue = purge.PurgeId },
            new NpgsqlParameter<DateTime> { TypedValue = now.UtcDateTime },
            new NpgsqlParameter<int> { TypedValue = columns },
            new NpgsqlParameter<string> { TypedValue = actor },
            new NpgsqlParameter { Value = purge.Certificate, NpgsqlDbType = NpgsqlDbType.Jsonb },
        },
    };

    const string DriveOnSql = """
        update pulse.purges set next_at = $2
        where purge_id in (select purge_id from pulse.purges where next_at <= $1 order by next_at limit 1000 for update skip locked)
        returning purge_id, org_id, step
        """;

    /// <summary>Takes the purges that nothing moved for too long.</summary>
    /// <returns>What publishes their steps again.</returns>
    public static async Task<List<NpgsqlBatchCommand>> DriveOnAsync(
        NpgsqlConnection connection, OutboxPublisher publisher, DateTimeOffset now, DateTimeOffset nextAt, CancellationToken cancellationToken)
    {
        await using var command = new NpgsqlCommand(DriveOnSql, connection);
        command.Parameters.Add(new NpgsqlParameter<DateTime> { TypedValue = now.UtcDateTime });
        command.Parameters.Add(new NpgsqlParameter<DateTime> { TypedValue = nextAt.UtcDateTime });
        var steps = new List<NpgsqlBatchCommand>();
        await using var row = await command.ExecuteReaderAsync(cancellationToken);
        while (await row.ReadAsync(cancellationToken))
            steps.Add(Step(publisher, row.GetGuid(0), row.GetGuid(1), row.GetString(2)));
        return steps;
    }

    /// <summary>The message that does a step.</summary>
    public static NpgsqlBatchCommand Step(OutboxPublisher publisher, Guid purgeId, Guid orgId, string step, DateTimeOffset? dueAt = null) => step switch
    {
        "export" => publisher.Publish(new ExportOrganization { PurgeId = purgeId, OrgId = orgId }, dueAt),
        "deprovision" => publisher.Publish(new DeprovisionTenant { PurgeId = purgeId, OrgId = orgId }, dueAt),
        "rows" => publisher.Publish(new DeleteOrganizationRows { PurgeId = purgeId, OrgId = orgId }, dueAt),
        _ => publisher.Publish(new CertifyPurge { PurgeId = purgeId }, dueAt),
    };

    const string ForgetStraysSql = "select pulse.forget_purged()";

    /// <summary>What Stripe has told of the customers of purged organizations since.</summary>
    public static NpgsqlBatchCommand ForgetStrays() => new(ForgetStraysSql);

    const string ExportSql = "select place, body from pulse.export_rows($1)";

    /// <summary>Everything about an organization, as of one moment.</summary>
    public static async IAsyncEnumerable<(string Place, string Body)> ExportAsync(
        NpgsqlConnection connection, Guid orgId, [System.Runtime.CompilerServices.EnumeratorCancellation] CancellationToken cancellationToken)
    {
        await using var command = new NpgsqlCommand(ExportSql, connection) { CommandTimeout = LongSeconds };
        command.Parameters.Add(new NpgsqlParameter<Guid> { TypedValue = orgId });
        await using var row = await command.ExecuteReaderAsync(cancellationToken);
        while (await row.ReadAsync(cancellationToken))
            yield return (row.GetString(0), row.GetString(1));
    }
}
