using Npgsql;

namespace Pulse.Worker.Audit;

/// <summary>What is read of <c>pulse.audit_log</c>. It is written by <c>pulse.append_audit()</c> alone.</summary>
static class AuditTable
{
    // In the order of seq, whatever order they lie in.
    const string AllSql = $"copy (select {AuditRows.Columns} from pulse.audit_log order by seq) to stdout (format binary)";

    public static async Task<Stream> OpenAsync(NpgsqlConnection connection, CancellationToken cancellationToken) =>
        await connection.BeginRawBinaryCopyAsync(AllSql, cancellationToken);

    const string HeadSql = "select seq, hash from pulse.audit_log order by seq desc limit 1";

    /// <returns>The last row's number and hash; null when there is none.</returns>
    public static async Task<(long Seq, byte[] Hash)?> HeadAsync(NpgsqlDataSource dataSource, CancellationToken cancellationToken)
    {
        await using var command = dataSource.CreateCommand(HeadSql);
        await using var row = await command.ExecuteReaderAsync(cancellationToken);
        return await row.ReadAsync(cancellationToken) ? (row.GetInt64(0), row.GetFieldValue<byte[]>(1)) : null;
    }
}
