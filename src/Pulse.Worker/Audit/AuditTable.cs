using System.Runtime.CompilerServices;
using Npgsql;
using NpgsqlTypes;

namespace Pulse.Worker.Audit;

/// <summary>What is read of <c>pulse.audit_log</c>. It is written by <c>pulse.append_audit()</c> alone.</summary>
static class AuditTable
{
    // COPY: a million rows in a few seconds. In the order of seq, whatever order they lie in.
    const string AllSql = """
        copy (
            select seq, (extract(epoch from at) * 1000000)::bigint, actor, action, org_id::text, before::text, after::text, cause, previous_hash, hash
            from pulse.audit_log order by seq
        ) to stdout (format binary)
        """;

    public static async IAsyncEnumerable<AuditEntry> AllAsync(NpgsqlDataSource dataSource, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        await using var connection = await dataSource.OpenConnectionAsync(cancellationToken);
        await using var export = await connection.BeginBinaryExportAsync(AllSql, cancellationToken);
        while (await export.StartRowAsync(cancellationToken) >= 0)
        {
            yield return new AuditEntry
            {
                Seq = export.Read<long>(NpgsqlDbType.Bigint),
                At = export.Read<long>(NpgsqlDbType.Bigint),
                Actor = export.Read<string>(NpgsqlDbType.Text),
                Action = export.Read<string>(NpgsqlDbType.Text),
                OrgId = Text(export),
                Before = Text(export),
                After = Text(export),
                Cause = Text(export),
                PreviousHash = export.Read<byte[]>(NpgsqlDbType.Bytea),
                Hash = export.Read<byte[]>(NpgsqlDbType.Bytea),
            };
        }
    }

    static string? Text(NpgsqlBinaryExporter export)
    {
        if (!export.IsNull)
            return export.Read<string>(NpgsqlDbType.Text);

        export.Skip();
        return null;
    }

    const string HeadSql = "select seq, hash from pulse.audit_log order by seq desc limit 1";

    /// <returns>The last row's number and hash; null when there is none.</returns>
    public static async Task<(long Seq, byte[] Hash)?> HeadAsync(NpgsqlDataSource dataSource, CancellationToken cancellationToken)
    {
        await using var command = dataSource.CreateCommand(HeadSql);
        await using var row = await command.ExecuteReaderAsync(cancellationToken);
        return await row.ReadAsync(cancellationToken) ? (row.GetInt64(0), row.GetFieldValue<byte[]>(1)) : null;
    }
}
