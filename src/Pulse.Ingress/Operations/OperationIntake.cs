using Npgsql;
using Pulse.Ingress.Keys;
using Pulse.Messaging.Outbox;

namespace Pulse.Ingress.Operations;

/// <summary>
/// Brings an operator's command to the worker and waits a little for its end. Once stored it is done some time, whatever fails.
/// </summary>
/// <remarks>
/// The worker's consumer completes the row, in the transaction of what it does, with <c>pg_notify('pulse_operations', id)</c>; a refusal is
/// such an end, not an exception.
/// </remarks>
sealed class OperationIntake(NpgsqlDataSource dataSource, OutboxPublisher publisher, OperationWaits waits, TimeProvider clock)
{
    public static readonly TimeSpan Patience = TimeSpan.FromSeconds(5);

    /// <param name="kind">What is asked.</param>
    /// <param name="orgId">Of which organization, if of one.</param>
    /// <param name="request">The <c>request</c> of the row: JSON, validated.</param>
    /// <param name="command">The message for the worker: ids only.</param>
    /// <param name="caller">Who asks.</param>
    /// <param name="keyedId">The id that follows from an Idempotency-Key, if one was sent: <see cref="OperationKey"/>.</param>
    /// <param name="cancellationToken">The caller has gone. It ends waiting, not a transaction that has begun.</param>
    public async Task<OperationOutcome> SubmitAsync<T>(
        OperationKind kind, Guid? orgId, string request, Func<Guid, T> command, Caller caller, Guid? keyedId, CancellationToken cancellationToken)
        where T : class
    {
        var now = clock.GetUtcNow();
        var operationId = keyedId ?? Guid.CreateVersion7(now);
        // From before it is stored: its end can't be missed.
        using var wait = waits.Begin(operationId);

        var stored = await StoreAsync(operationId, kind, orgId, request, command(operationId), caller, now.UtcDateTime, cancellationToken);
        if (stored is null)
            return new OperationOutcome.KeyReused();
        if (stored.Status != "pending")
            return new OperationOutcome.Completed(stored);

        return await wait.EndAsync(Patience, cancellationToken) is { } completed
            ? new OperationOutcome.Completed(completed)
            : new OperationOutcome.Pending(stored);
    }

    /// <returns>The operation as it is now; null when the id stands for another command.</returns>
    async Task<Operation?> StoreAsync<T>(
        Guid operationId, OperationKind kind, Guid? orgId, string request, T command, Caller caller, DateTime now, CancellationToken cancellationToken)
        where T : class
    {
        await using var connection = await dataSource.OpenConnectionAsync(cancellationToken);
        await using var transaction = await connection.BeginTransactionAsync(CancellationToken.None);
        await using (var insert = new NpgsqlBatch(connection, transaction) { BatchCommands = { OperationTable.Insert(operationId, kind.Name, orgId, request, caller.Actor, now) } })
        {
            // Somebody with the same key who is not yet committed is waited for.
            if (await insert.ExecuteNonQueryAsync(CancellationToken.None) == 0)
            {
                var (operation, same) = await OperationTable.RepeatedAsync(connection, operationId, kind.Name, orgId, request, caller.Actor, CancellationToken.None);
                return same ? operation : null;
            }
        }

        await using (var publish = new NpgsqlBatch(connection, transaction) { BatchCommands = { publisher.Publish(command), new NpgsqlBatchCommand("commit") } })
            await publish.ExecuteNonQueryAsync(CancellationToken.None);
        publisher.Committed();
        return new Operation
        {
            OperationId = operationId,
            Kind = kind.Name,
            OrgId = orgId,
            Status = "pending",
            Problem = null,
            Result = null,
            RequestedAt = now,
            CompletedAt = null,
        };
    }
}
