using System.Text.Json;
using Npgsql;
using NpgsqlTypes;
using Pulse.Worker.Operations;

namespace Pulse.Worker.Billing;

/// <summary>Whom an override is for: the organization's billing state, locked.</summary>
/// <param name="Exists">There is such an organization.</param>
/// <param name="IsDefault">It is the platform's own.</param>
/// <param name="Version">Of its billing state.</param>
readonly record struct OverrideSubject(bool Exists, bool IsDefault, long Version);

/// <summary>Statements on what operators decided.</summary>
static class OverrideTable
{
    const string LockSql = "select version from pulse.billing_states where org_id = $1 for update";

    const string OrganizationSql = "select is_default from pulse.organizations where org_id = $1";

    /// <summary>Locks an organization's billing state up to the transaction's end.</summary>
    public static async Task<OverrideSubject> LockAsync(NpgsqlConnection connection, Guid orgId, CancellationToken cancellationToken)
    {
        await using var batch = new NpgsqlBatch(connection)
        {
            BatchCommands =
            {
                new NpgsqlBatchCommand(LockSql) { Parameters = { new NpgsqlParameter<Guid> { TypedValue = orgId } } },
                new NpgsqlBatchCommand(OrganizationSql) { Parameters = { new NpgsqlParameter<Guid> { TypedValue = orgId } } },
            },
        };
        await using var row = await batch.ExecuteReaderAsync(cancellationToken);
        // Without a row the first version is what entitlements_v1 shows.
        var version = await row.ReadAsync(cancellationToken) ? row.GetInt64(0) : 1;
        await row.NextResultAsync(cancellationToken);
        var exists = await row.ReadAsync(cancellationToken);
        return new OverrideSubject(exists, exists && row.GetBoolean(0), version);
    }

    const string InsertSql = """
        insert into pulse.billing_overrides (override_id, org_id, effect, state, reason, actor, created_at, expires_at)
        values ($1, $2, $3, $4, $5, $6, $7, $8)
        """;

    /// <summary>Stores an override, and says so in the audit log.</summary>
    public static async Task AddAsync(
        NpgsqlConnection connection, Operation operation, Guid orgId, BillingOverride added, string? reason, CancellationToken cancellationToken)
    {
        await using var batch = new NpgsqlBatch(connection)
        {
            BatchCommands =
            {
                new NpgsqlBatchCommand(InsertSql)
                {
                    Parameters =
                    {
                        new NpgsqlParameter<Guid> { TypedValue = added.Id },
                        new NpgsqlParameter<Guid> { TypedValue = orgId },
                        new NpgsqlParameter<string> { TypedValue = added.Effect },
                        new NpgsqlParameter { Value = JsonSerializer.Serialize(added.State, Canonical.Json), NpgsqlDbType = NpgsqlDbType.Jsonb },
                        new NpgsqlParameter { Value = (object?)reason ?? DBNull.Value, NpgsqlDbType = NpgsqlDbType.Text },
                        new NpgsqlParameter<string> { TypedValue = operation.Actor },
                        new NpgsqlParameter<DateTime> { TypedValue = added.CreatedAt.UtcDateTime },
                        new NpgsqlParameter { Value = added.ExpiresAt is { } end ? end.UtcDateTime : DBNull.Value, NpgsqlDbType = NpgsqlDbType.TimestampTz },
                    },
                },
                EntitlementTable.Audit(added.CreatedAt, operation.Actor, orgId, null, added, operation.Cause, "billing_override_set"),
            },
        };
        await batch.ExecuteNonQueryAsync(cancellationToken);
    }

    const string RevokeSql = """
        with revoked as (
            update pulse.billing_overrides set revoked_at = $2, revoked_by = $3
            where org_id = $1 and revoked_at is null and (expires_at is null or expires_at > $2)
            returning override_id, effect, state, created_at, expires_at)
        select pulse.append_audit($2, $3, 'billing_override_revoked', $1,
            jsonb_strip_nulls(jsonb_build_object('id', override_id, 'effect', effect, 'state', state, 'created_at', created_at, 'expires_at', expires_at)), null, $4)
        from revoked
        """;

    /// <summary>Takes back what is in force, and says so in the audit log for each.</summary>
    public static async Task RevokeAsync(NpgsqlConnection connection, Operation operation, Guid orgId, DateTimeOffset now, CancellationToken cancellationToken)
    {
        await using var command = new NpgsqlCommand(RevokeSql, connection);
        command.Parameters.Add(new NpgsqlParameter<Guid> { TypedValue = orgId });
        command.Parameters.Add(new NpgsqlParameter<DateTime> { TypedValue = now.UtcDateTime });
        command.Parameters.Add(new NpgsqlParameter<string> { TypedValue = operation.Actor });
        command.Parameters.Add(new NpgsqlParameter<string> { TypedValue = operation.Cause });
        await command.ExecuteNonQueryAsync(cancellationToken);
    }
}
