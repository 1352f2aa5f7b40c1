using System.Collections.Frozen;
using Npgsql;

namespace Pulse.Ingress.Keys;

/// <summary>Keys as ingress may see them.</summary>
static class KeyTable
{
    public sealed record Row(byte[] SecretHash, FrozenSet<string> Scopes, DateTime? ExpiresAt, DateTime? RevokedAt);

    const string FindSql = "select secret_hash, scopes, expires_at, revoked_at from pulse.admin_keys where key_id = $1";

    public static async Task<Row?> FindAsync(NpgsqlDataSource dataSource, string keyId, CancellationToken cancellationToken)
    {
        await using var command = dataSource.CreateCommand(FindSql);
        command.Parameters.Add(new NpgsqlParameter<string> { TypedValue = keyId });
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        return await reader.ReadAsync(cancellationToken)
            ? new Row(
                reader.GetFieldValue<byte[]>(0), reader.GetFieldValue<string[]>(1).ToFrozenSet(StringComparer.Ordinal),
                reader.IsDBNull(2) ? null : reader.GetDateTime(2), reader.IsDBNull(3) ? null : reader.GetDateTime(3))
            : null;
    }
}
