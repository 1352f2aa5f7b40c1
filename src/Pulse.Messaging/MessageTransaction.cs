using MassTransit;
using Npgsql;
using Pulse.Messaging.Inbox;
using Pulse.Messaging.Outbox;

namespace Pulse.Messaging;

/// <summary>
/// The one Postgres transaction of one consumed message. The inbox row, the consumer's own writes, the saga and everything
/// published are in it, and become real together.
/// </summary>
/// <remarks>Not thread-safe, like the connection it holds. It commits when the consumer is done, and rolls back when it throws.</remarks>
public sealed class MessageTransaction : IAsyncDisposable
{
    readonly NpgsqlConnection _connection;
    readonly NpgsqlTransaction _transaction;
    readonly List<NpgsqlBatchCommand> _deferred = [];
    readonly List<OutboxMessage> _published = [];
    readonly List<Guid> _cancelled = [];
    readonly List<Action> _committed = [];

    MessageTransaction(NpgsqlConnection connection, NpgsqlTransaction transaction)
    {
        _connection = connection;
        _transaction = transaction;
    }

    /// <summary>For the consumer's own statements. They are in the transaction without being told.</summary>
    public NpgsqlConnection Connection => _connection;

    /// <summary>False from the commit or rollback on.</summary>
    public bool IsOpen { get; private set; } = true;

    /// <summary>
    /// Adds a statement that needs no answer. It goes out in the same round trip as the commit, in the order of the calls.
    /// </summary>
    /// <param name="command">Its failure rolls everything back.</param>
    public void Defer(NpgsqlBatchCommand command) => _deferred.Add(command);

    /// <summary>Runs after a successful commit, and not at all after a rollback: for counters and caches.</summary>
    /// <param name="action">Must not throw.</param>
    public void OnCommitted(Action action) => _committed.Add(action);

    internal static async Task<(MessageTransaction Transaction, bool IsFirst)> BeginAsync(
        NpgsqlDataSource dataSource, Guid messageId, string consumerId, DateTime now, CancellationToken cancellationToken)
    {
        var connection = await dataSource.OpenConnectionAsync(cancellationToken);
        try
        {
            // Npgsql sends BEGIN with the first statement: both are one round trip.
            var transaction = await connection.BeginTransactionAsync(cancellationToken);
            var isFirst = await InboxTable.TryInsertAsync(connection, messageId, consumerId, now, cancellationToken);
            return (new MessageTransaction(connection, transaction), isFirst);
        }
        catch
        {
            await connection.DisposeAsync();
            throw;
        }
    }

    internal void Publish(OutboxMessage message)
    {
        // Consumers may publish from several tasks at once; MassTransit's own outboxes allow it.
        lock (_published)
            _published.Add(message);
    }

    /// <summary>Takes back a timer: one of this transaction is never written, an earlier one is deleted with the commit.</summary>
    internal void Cancel(Guid token)
    {
        lock (_published)
        {
            if (_published.RemoveAll(message => message.Token == token) == 0)
                _cancelled.Add(token);
        }
    }

    /// <summary>Writes what was deferred and published, and commits, in one round trip.</summary>
    /// <returns>What was published, to be brought to the broker.</returns>
    internal async Task<IReadOnlyList<OutboxMessage>> CommitAsync(CancellationToken cancellationToken)
    {
        await using (var batch = new NpgsqlBatch(_connection))
        {
            foreach (var command in _deferred)
                batch.BatchCommands.Add(command);
            if (_cancelled.Count > 0)
                batch.BatchCommands.Add(OutboxTable.Cancel(_cancelled));
            if (_published.Count > 0)
                batch.BatchCommands.Add(OutboxTable.Insert(_published));
            // COMMIT of a transaction that a swallowed error aborted is a silent rollback: any other statement says so.
            if (batch.BatchCommands.Count == 0)
                batch.BatchCommands.Add(new NpgsqlBatchCommand("select 1"));
            batch.BatchCommands.Add(new NpgsqlBatchCommand("commit"));
            await batch.ExecuteNonQueryAsync(cancellationToken);
        }

        IsOpen = false;
        foreach (var action in _committed)
            action();

        return _published;
    }

    /// <summary>Rolls back unless it was committed, and gives the connection back.</summary>
    public async ValueTask DisposeAsync()
    {
        IsOpen = false;
        // Npgsql rolls back on dispose when the server still is in the transaction, and only then.
        await _transaction.DisposeAsync();
        await _connection.DisposeAsync();
    }
}

/// <summary>How a consumer or a saga's activity comes by its transaction.</summary>
public static class MessageTransactionContext
{
    /// <summary>The transaction of the message that is being consumed.</summary>
    /// <param name="context">A consumer's, a saga's or an activity's context.</param>
    /// <exception cref="InvalidOperationException">The endpoint is not one of Pulse.Messaging, or the message is done.</exception>
    public static MessageTransaction Transaction(this PipeContext context) =>
        context.TryGetPayload<MessageTransaction>(out var transaction) && transaction.IsOpen
            ? transaction
            : throw new InvalidOperationException("No message is being consumed in a transaction here: is the endpoint configured by AddPulseMessaging?");
}
