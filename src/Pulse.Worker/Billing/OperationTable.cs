using System.Text.Json;
using Npgsql;
using NpgsqlTypes;

namespace Pulse.Worker.Billing;

/// <summary>What an operator asked for, and of whom.</summary>
sealed record Operation
{
    public required Guid Id { get; init; }
    public required Guid OrgId { get; init; }
    public required string Request { get; init; }
    public required string Actor { get; init; }

    /// <summary>It has its outcome already, and keeps it.</summary>
    public required bool IsCompleted { get; init; }
    public required bool OrgExists { get; init; }
    public required bool OrgIsDefault { get; init; }

    /// <summary>Of the organization's billing state, whose row is locked.</summary>
    public required long Version { get; init; }

    /// <summary>What the audit log names as the cause.</summary>
    public string Cause => $"operation:{Id}";
}

/// <summary>Statements on operations and on the overrides that they make.</summary>
static class OperationTable
{
    const string TakeSql = "select request::text, actor, status <> 'pending' from pulse.operations where operation_id = $1 for update";

    const string LockSql = "select version from pulse.billing_states where org_id = $1 for update";

    const string OrganizationSql = "select is_default from pulse.organizations where org_id = $1";

    /// <summary>Reads an operation and locks it, and the organization's billing state, up to the transaction's end.</summary>
    /// <returns>Null: there is none.</returns>
    public static async Task<Operation?> TakeAsync(NpgsqlConnection connection, Guid operationId, Guid orgId, CancellationToken cancellationToken)
    {
        await using var batch = new NpgsqlBatch(connection)
        {
            BatchCommands =
            {
                new NpgsqlBatchCommand(TakeSql) { Parameters = { new NpgsqlParameter<Guid> { TypedValue = operationId } } },
                new NpgsqlBatchCommand(LockSql) { Parameters = { new NpgsqlParameter<Guid> { TypedValue = orgId } } },
                new NpgsqlBatchCommand(OrganizationSql) { Parameters = { new NpgsqlParameter<Guid> { TypedValue = orgId } } },
            },
        };
        await using var row = await batch.ExecuteReaderAsync(cancellationToken);
        if (!await row.ReadAsync(cancellationToken))
            return null;

        var (request, actor, completed) = (row.GetString(0), row.GetString(1), row.GetBoolean(2));
        await row.NextResultAsync(cancellationToken);
        // Without a row the first version is what entitlements_v1 shows.
        var version = await row.ReadAsync(cancellationToken) ? row.GetInt64(0) : 1;
        await row.NextResultAsync(cancellationToken);
        var exists = await row.ReadAsync(cancellationToken);
        return new Operation
        {
            Id = operationId,
            OrgId = orgId,
            Request = request,
            Actor = actor,
            IsCompleted = completed,
            OrgExists = exists,
            OrgIsDefault = exists && row.GetBoolean(0),
            Version = version,
        };
    }

    const string InsertOverrideSql = """
        insert into pulse.billing_overrides (override_id, org_id, effect, state, reason, actor, created_at, expires_at)
        values ($1, $2, $3, $4, $5, $6, $7, $8)
        """;

    /// <summary>Stores an override, and says so in the audit log.</summary>
    public static async Task AddOverrideAsync(
        NpgsqlConnection connection, Operation operation, BillingOverride added, string? reason, CancellationToken cancellationToken)
    {
        await using var batch = new NpgsqlBatch(connection)
        {
            BatchCommands =
            {
                new NpgsqlBatchCommand(InsertOverrideSql)
                {
                    Parameters =
                    {
                        new NpgsqlParameter<Guid> { TypedValue = added.Id },
                        new NpgsqlParameter<Guid> { TypedValue = operation.OrgId },
                        new NpgsqlParameter<string> { TypedValue = added.Effect },
                        new NpgsqlParameter { Value = JsonSerializer.Serialize(added.State, Canonical.Json), NpgsqlDbType = NpgsqlDbType.Jsonb },
                        new NpgsqlParameter { Value = (object?)reason ?? DBNull.Value, NpgsqlDbType = NpgsqlDbType.Text },
                        new NpgsqlParameter<string> { TypedValue = operation.Actor },
                        new NpgsqlParameter<DateTime> { TypedValue = added.CreatedAt.UtcDateTime },
                        new NpgsqlParameter { Value = added.ExpiresAt is { } end ? end.UtcDateTime : DBNull.Value, NpgsqlDbType = NpgsqlDbType.TimestampTz },
                    },
                },
                EntitlementTable.Audit(added.CreatedAt, operation.Actor, operation.OrgId, null, added, operation.Cause, "billing_override_set"),
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
    public static async Task RevokeOverridesAsync(NpgsqlConnection connection, Operation operation, DateTimeOffset now, CancellationToken cancellationToken)
    {
        await using var command = new NpgsqlCommand(RevokeSql, connection);
        command.Parameters.Add(new NpgsqlParameter<Guid> { TypedValue = operation.OrgId });
        command.Parameters.Add(new NpgsqlParameter<DateTime> { TypedValue = now.UtcDateTime });
        command.Parameters.Add(new NpgsqlParameter<string> { TypedValue = operation.Actor });
        command.Parameters.Add(new NpgsqlParameter<string> { TypedValue = operation.Cause });
        await command.ExecuteNonQueryAsync(cancellationToken);
    }

    const string CompleteSql = """
        update pulse.operations
        set status = $2, problem_status = $3, problem_code = $4, problem_detail = $5, result = $6, completed_at = $7
        where operation_id = $1
        """;

    const string NotifySql = "select pg_notify('pulse_operations', $1::text)";

    /// <summary>Gives it its outcome, a result or a refusal, and tells who waits.</summary>
    public static IEnumerable<NpgsqlBatchCommand> Complete(Guid operationId, BillingState? result, Refusal? refusal, DateTimeOffset now) =>
    [
        new(CompleteSql)
        {
            Parameters =
            {
                new NpgsqlParameter<Guid> { TypedValue = operationId },
                new NpgsqlParameter<string> { TypedValue = refusal is null ? "succeeded" : "refused" },
                new NpgsqlParameter { Value = (object?)refusal?.Status ?? DBNull.Value, NpgsqlDbType = NpgsqlDbType.Integer },
                new NpgsqlParameter { Value = (object?)refusal?.Code ?? DBNull.Value, NpgsqlDbType = NpgsqlDbType.Text },
                new NpgsqlParameter { Value = (object?)refusal?.Detail ?? DBNull.Value, NpgsqlDbType = NpgsqlDbType.Text },
                new NpgsqlParameter { Value = result is null ? DBNull.Value : JsonSerializer.Serialize(result, Canonical.Json), NpgsqlDbType = NpgsqlDbType.Jsonb },
                new NpgsqlParameter<DateTime> { TypedValue = now.UtcDateTime },
            },
        },
        new(NotifySql) { Parameters = { new NpgsqlParameter<string> { TypedValue = operationId.ToString() } } },
    ];
}
