using System.Text.Json;
using Npgsql;
using Pulse.Ingress.Http;

namespace Pulse.Ingress.Admin;

/// <summary>What is due to be purged, and what was.</summary>
static class ReaperTable
{
    // One snapshot: the hash is of this list.
    const string DryRunSql = """
        select pulse.reaper_hash($1), d.org_id, d.deletion_id, d.purge_after
        from (select) one left join pulse.reaper_list($1) d on true
        """;

    public static async Task<DryRun> DryRunAsync(NpgsqlDataSource dataSource, DateTimeOffset now, CancellationToken cancellationToken)
    {
        await using var command = dataSource.CreateCommand(DryRunSql);
        command.Parameters.Add(new NpgsqlParameter<DateTime> { TypedValue = now.UtcDateTime });
        await using var row = await command.ExecuteReaderAsync(cancellationToken);
        var (hash, due) = ("", new List<DueOrganization>());
        while (await row.ReadAsync(cancellationToken))
        {
            hash = row.GetString(0);
            if (!row.IsDBNull(1))
                due.Add(new DueOrganization { OrgId = OrgAddress.Text(row.GetGuid(1)), DeletionId = row.GetGuid(2), PurgeAfter = row.GetDateTime(3) });
        }

        return new DryRun { Hash = hash, Count = due.Count, Organizations = due };
    }

    const string CertificateSql = """
        select purge_id, requested_at, started_at, purged_at, export_sha256, export_bytes, counts::text, residue_columns, residue_rows, audit_seq
        from pulse.tombstones_v1 where org_id = $1
        """;

    public static async Task<Certificate?> CertificateAsync(NpgsqlDataSource dataSource, Guid orgId, CancellationToken cancellationToken)
    {
        await using var command = dataSource.CreateCommand(CertificateSql);
        command.Parameters.Add(new NpgsqlParameter<Guid> { TypedValue = orgId });
        await using var row = await command.ExecuteReaderAsync(cancellationToken);
        if (!await row.ReadAsync(cancellationToken))
            return null;

        return new Certificate
        {
            OrgId = OrgAddress.Text(orgId),
            PurgeId = row.GetGuid(0),
            DeletionRequestedAt = row.GetDateTime(1),
            PurgeStartedAt = row.GetDateTime(2),
            PurgedAt = row.GetDateTime(3),
            Export = row.IsDBNull(4) ? null : new ExportCertificate { Sha256 = Convert.ToHexStringLower(row.GetFieldValue<byte[]>(4)), Bytes = row.GetInt64(5) },
            RowsDeleted = JsonSerializer.Deserialize(row.GetString(6), AdminJson.Default.JsonElement),
            Residue = new ResidueCertificate { ColumnsSearched = row.GetInt32(7), RowsFound = row.GetInt64(8) },
            AuditSeq = row.GetInt64(9),
        };
    }
}
