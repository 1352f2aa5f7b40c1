using System.Globalization;
using System.Text.Json;
using Npgsql;
using Pulse.Ingress.Http;

namespace Pulse.Ingress.Admin;

/// <summary>The audit log, newest first.</summary>
static class AuditTable
{
    // Both in one statement: an organization without a change, and no organization. One that was purged has its entries still.
    const string ListSql = """
        select a.seq, a.at, a.actor, a.action, a.before, a.after, a.cause
        from (select $1 as org_id
            where exists (select from pulse.organizations_v1 where org_id = $1) or exists (select from pulse.audit_log where org_id = $1)) o
        left join lateral (
            select seq, at, actor, action, before, after, cause from pulse.audit_log
            where org_id = $1 and seq < $2 order by seq desc limit $3) a on true
        where o.org_id = $1
        order by a.seq desc
        """;

    /// <summary>One more than the limit, if there is one; null when there is no such organization.</summary>
    public static async Task<IReadOnlyList<AuditEntry>?> ListAsync(NpgsqlDataSource dataSource, Guid orgId, AuditQuery query, CancellationToken cancellationToken)
    {
        await using var command = dataSource.CreateCommand(ListSql);
        command.Parameters.Add(new NpgsqlParameter<Guid> { TypedValue = orgId });
        command.Parameters.Add(new NpgsqlParameter<long> { TypedValue = query.Before });
        command.Parameters.Add(new NpgsqlParameter<int> { TypedValue = query.Limit + 1 });
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        if (!await reader.ReadAsync(cancellationToken))
            return null;

        var entries = new List<AuditEntry>();
        do
        {
            if (!reader.IsDBNull(0))
                entries.Add(Read(reader));
        }
        while (await reader.ReadAsync(cancellationToken));

        return entries;
    }

    const string AllSql = """
        select seq, at, actor, action, before, after, cause, org_id from pulse.audit_log where seq < $1 order by seq desc limit $2
        """;

    /// <summary>Of everything; one more than the limit, if there is one.</summary>
    public static async Task<IReadOnlyList<AuditEntry>> AllAsync(NpgsqlDataSource dataSource, AuditQuery query, CancellationToken cancellationToken)
    {
        await using var command = dataSource.CreateCommand(AllSql);
        command.Parameters.Add(new NpgsqlParameter<long> { TypedValue = query.Before });
        command.Parameters.Add(new NpgsqlParameter<int> { TypedValue = query.Limit + 1 });
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        var entries = new List<AuditEntry>();
        while (await reader.ReadAsync(cancellationToken))
            entries.Add(Read(reader) with { OrgId = reader.IsDBNull(7) ? null : OrgAddress.Text(reader.GetGuid(7)) });

        return entries;
    }

    public static string CursorOf(AuditEntry entry) => Cursor.Write("a", entry.Id.ToString(CultureInfo.InvariantCulture));

    static AuditEntry Read(NpgsqlDataReader reader) => new()
    {
        Id = reader.GetInt64(0),
        At = reader.GetDateTime(1),
        Actor = reader.GetString(2),
        Action = reader.GetString(3),
        Before = Json(reader, 4),
        After = Json(reader, 5),
        Cause = reader.IsDBNull(6) ? null : reader.GetString(6),
    };

    static JsonElement? Json(NpgsqlDataReader reader, int column) =>
        reader.IsDBNull(column) ? null : JsonSerializer.Deserialize(reader.GetString(column), AdminJson.Default.JsonElement);
}
