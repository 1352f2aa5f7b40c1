using Npgsql;
using NpgsqlTypes;

namespace Pulse.Worker.Keys;

/// <summary>The keys of operators and services, as their owner sees them.</summary>
static class AdminKeyTable
{
    public sealed record Row(string KeyId, string Name, IReadOnlyList<string> Scopes, DateTime CreatedAt, DateTime? ExpiresAt, DateTime? RevokedAt);

    // One statement: no key without a word about it in the audit log.
    const string InsertSql = """
        with made as (
            insert into pulse.admin_keys (key_id, secret_hash, name, scopes, created_at, expires_at)
            values ($1, $2, $3, $4, $5, $6)
            returning key_id, name, scopes, expires_at)
        select pulse.append_audit($5, $7, 'key.created', null, null, to_jsonb(made), null) from made
        """;

    public static async Task InsertAsync(
        NpgsqlDataSource dataSource, Row key, byte[] secretHash, string actor, CancellationToken cancellationToken)
    {
        await using var command = dataSource.CreateCommand(InsertSql);
        command.Parameters.Add(Value(key.KeyId));
        command.Parameters.Add(Value(secretHash));
        command.Parameters.Add(Value(key.Name));
        command.Parameters.Add(Value(key.Scopes.ToArray()));
        command.Parameters.Add(Value(key.CreatedAt));
        command.Parameters.Add(new NpgsqlParameter<DateTime?> { TypedValue = key.ExpiresAt, NpgsqlDbType = NpgsqlDbType.TimestampTz });
        command.Parameters.Add(Value(actor));
        await command.ExecuteScalarAsync(cancellationToken);
    }

    const string ListSql = "select key_id, name, scopes, created_at, expires_at, revoked_at from pulse.admin_keys order by created_at, key_id";

    public static async Task<IReadOnlyList<Row>> ListAsync(NpgsqlDataSource dataSource, CancellationToken cancellationToken)
    {
        await using var command = dataSource.CreateCommand(ListSql);
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        var rows = new List<Row>();
        while (await reader.ReadAsync(cancellationToken))
        {
            rows.Add(new Row(
                reader.GetString(0), reader.GetString(1), reader.GetFieldValue<string[]>(2), reader.GetDateTime(3),
                reader.IsDBNull(4) ? null : reader.GetDateTime(4), reader.IsDBNull(5) ? null : reader.GetDateTime(5)));
        }

        return rows;
    }

    // The row before, and the change only where there was none: a second revocation is no event.
    const string RevokeSql = """
        with before as (
            select key_id, revoked_at from pulse.admin_keys where key_id = $1 for update),
        revoked as (
            update pulse.admin_keys k set revoked_at = $2
            from before where k.key_id = before.key_id and before.revoked_at is null
            returning k.key_id, k.revoked_at),
        audited as (
            select pulse.append_audit($2, $3, 'key.revoked', null, to_jsonb(before), to_jsonb(revoked), null) from revoked join before using (key_id))
        select before.revoked_at, (select count(*) from audited) from before
        """;

    /// <returns>Null: no such key. Otherwise since when it had been revoked before, if it had.</returns>
    public static async Task<(bool Known, DateTime? RevokedBefore)> RevokeAsync(
        NpgsqlDataSource dataSource, string keyId, DateTime now, string actor, CancellationToken cancellationToken)
    {
        await using var command = dataSource.CreateCommand(RevokeSql);
        command.Parameters.Add(Value(keyId));
        command.Parameters.Add(Value(now));
        command.Parameters.Add(Value(actor));
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        return await reader.ReadAsync(cancellationToken)
            ? (true, reader.IsDBNull(0) ? null : reader.GetDateTime(0))
            : (false, null);
    }

    static NpgsqlParameter<T> Value<T>(T value) => new() { TypedValue = value };
}
