using Npgsql;
using NpgsqlTypes;
using Pulse.Messaging;

namespace Pulse.Worker.Operations;

/// <summary>Statements on what operators asked for.</summary>
static class OperationTable
{
    const string TakeSql = "select request::text, actor, status <> 'pending' from pulse.operations where operation_id = $1 for update";

    /// <summary>Reads an operation, and locks it up to the transaction's end.</summary>
    /// <exception cref="OperationMissingException">There is none.</exception>
    public static Task<Operation> TakeAsync(MessageTransaction transaction, Guid operationId, CancellationToken cancellationToken) =>
        transaction.QueryAsync(
            new NpgsqlBatchCommand(TakeSql) { Parameters = { new NpgsqlParameter<Guid> { TypedValue = operationId } } },
            async (row, cancellation) => await row.ReadAsync(cancellation)
                ? new Operation(operationId, row.GetString(0), row.GetString(1), row.GetBoolean(2))
                : throw new OperationMissingException(operationId),
            cancellationToken);

    // One that came too late for its organization keeps nothing of it: the purge has looked for what was left already.
    const string CompleteSql = """
        update pulse.operations o
        set status = $2, problem_status = $3, problem_code = $4, problem_detail = $5, result = $6, completed_at = $7,
            org_id = case when gone then null else o.org_id end, request = case when gone then '{}' else o.request end
        from (select $3 = 404 and exists (
                select from pulse.operations late where late.operation_id = $1 and late.org_id is not null
                and not exists (select from pulse.organizations org where org.org_id = late.org_id)) as gone) as late
        where operation_id = $1
        """;

    const string NotifySql = "select pg_notify('pulse_operations', $1::text)";

    /// <summary>Gives it its result, with the commit, and tells who waits.</summary>
    /// <param name="transaction">Of the message.</param>
    /// <param name="operationId">The operation.</param>
    /// <param name="result">JSON.</param>
    /// <param name="now">The time.</param>
    public static void Succeed(MessageTransaction transaction, Guid operationId, string result, DateTimeOffset now) =>
        Complete(transaction, operationId, result, null, now);

    /// <summary>Refuses it, with the commit, and tells who waits.</summary>
    public static void Refuse(MessageTransaction transaction, Guid operationId, Refusal refusal, DateTimeOffset now) =>
        Complete(transaction, operationId, null, refusal, now);

    static void Complete(MessageTransaction transaction, Guid operationId, string? result, Refusal? refusal, DateTimeOffset now)
    {
        transaction.Defer(new NpgsqlBatchCommand(CompleteSql)
        {
            Parameters =
            {
                new NpgsqlParameter<Guid> { TypedValue = operationId },
                new NpgsqlParameter<string> { TypedValue = refusal is null ? "succeeded" : "refused" },
                new NpgsqlParameter { Value = (object?)refusal?.Status ?? DBNull.Value, NpgsqlDbType = NpgsqlDbType.Integer },
                new NpgsqlParameter { Value = (object?)refusal?.Code ?? DBNull.Value, NpgsqlDbType = NpgsqlDbType.Text },
                new NpgsqlParameter { Value = (object?)refusal?.Detail ?? DBNull.Value, NpgsqlDbType = NpgsqlDbType.Text },
                new NpgsqlParameter { Value = (object?)result ?? DBNull.Value, NpgsqlDbType = NpgsqlDbType.Jsonb },
                new NpgsqlParameter<DateTime> { TypedValue = now.UtcDateTime },
            },
        });
        transaction.Defer(new NpgsqlBatchCommand(NotifySql) { Parameters = { new NpgsqlParameter<string> { TypedValue = operationId.ToString() } } });
    }

    // Who asked is not waiting any more, and one that has not ended is never forgotten. In small pieces, so that a long backlog holds no long locks.
    // By requested_at as well, which has an index and comes before the end.
    const string PruneSql = """
        delete from pulse.operations where operation_id = any(array(
            select operation_id from pulse.operations
            where requested_at < $1 and completed_at < $1 and status <> 'pending' limit $2))
        """;

    /// <returns>How many rows were deleted; fewer than <paramref name="limit"/> when none is left.</returns>
    public static async Task<int> PruneAsync(NpgsqlDataSource dataSource, DateTime before, int limit, CancellationToken cancellationToken)
    {
        await using var command = dataSource.CreateCommand(PruneSql);
        command.Parameters.Add(new NpgsqlParameter<DateTime> { TypedValue = before });
        command.Parameters.Add(new NpgsqlParameter<int> { TypedValue = limit });
        return await command.ExecuteNonQueryAsync(cancellationToken);
    }
}

/// <summary>A command speaks of an operation that is not stored. No retry brings it back.</summary>
sealed class OperationMissingException(Guid operationId) : UnprocessableMessageException($"There is no operation {operationId}.");
