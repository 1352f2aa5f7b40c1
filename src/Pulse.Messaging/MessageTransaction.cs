using MassTransit;
using Npgsql;
using Pulse.Messaging.Inbox;
using Pulse.Messaging.Outbox;
using Pulse.Messaging.Rehearsing;

namespace Pulse.Messaging;

/// <summary>
/// The one Postgres transaction of one consumed message. The inbox row, the consumer's own writes, the saga and everything
/// published are in it, and become real together.
/// </summary>
/// <remarks>
/// It begins as late as it can. A consumer that only defers and publishes holds no connection while it runs, and is committed together
/// with all others that are ready at the same moment. One that needs an answer asks with <see cref="QueryAsync"/>, in the round trip that begins
/// the transaction, or takes the connection with <see cref="OpenAsync"/>, which is a round trip of its own.
/// Not thread-safe, like the connection it holds. It commits when the consumer is done, and rolls back when it throws.
/// </remarks>
public sealed class MessageTransaction : IAsyncDisposable
{
    readonly NpgsqlDataSource _dataSource;
    readonly GroupCommit _group;
    readonly Rehearsal? _rehearsal;
    readonly List<NpgsqlBatchCommand> _deferred = [];
    readonly List<OutboxMessage> _published = [];
    readonly List<Guid> _cancelled = [];
    readonly List<Action> _committed = [];
    NpgsqlConnection? _connection;
    NpgsqlTransaction? _transaction;

    internal MessageTransaction(NpgsqlDataSource dataSource, GroupCommit group, InboxEntry entry, Rehearsal? rehearsal = null)
    {
        _dataSource = dataSource;
        _group = group;
        _rehearsal = rehearsal;
        Entry = entry;
    }

    internal InboxEntry Entry { get; }

    internal List<NpgsqlBatchCommand> Deferred => _deferred;

    internal List<OutboxMessage> Published => _published;

    internal List<Guid> Cancelled => _cancelled;

    /// <summary>False from the commit or rollback on.</summary>
    public bool IsOpen { get; private set; } = true;

    /// <summary>True when this consumer was already done with the message: nothing of this delivery is kept.</summary>
    internal bool IsRepeat { get; private set; }

    /// <summary>
    /// Begins the transaction, if it has not begun, and returns its connection. Statements on it are in the transaction without
    /// being told. Where a statement's answer is all that is wanted, <see cref="QueryAsync"/> saves a round trip.
    /// </summary>
    /// <param name="cancellationToken">Ends the waiting for a connection, and for a concurrent delivery of the same message.</param>
    /// <exception cref="AlreadyConsumedException">The message was consumed before. Let it pass: it is acknowledged.</exception>
    public async ValueTask<NpgsqlConnection> OpenAsync(CancellationToken cancellationToken = default)
    {
        if (_connection is not null)
            return _connection;

        await ReadAsync<object?>(null, (_, _) => Task.FromResult<object?>(null), cancellationToken);
        return _connection!;
    }

    /// <summary>
    /// Adds a statement that needs no answer. It goes out in the same round trip as the commit, in the order of the calls.
    /// </summary>
    /// <param name="command">Its failure rolls everything back.</param>
    public void Defer(NpgsqlBatchCommand command) => _deferred.Add(command);

    /// <summary>Runs after a successful commit, and not at all after a rollback: for counters and caches.</summary>
    /// <param name="action">Must not throw.</param>
    public void OnCommitted(Action action) => _committed.Add(action);

    /// <summary>
    /// Runs a query, and begins the transaction if it has not begun: in one round trip with the query. So a consumer that reads once costs two
    /// round trips in all, this one and the commit's.
    /// </summary>
    /// <param name="query">Its statement and parameters.</param>
    /// <param name="read">Reads the rows; called once, also when there are none.</param>
    /// <param name="cancellationToken">Ends the waiting, as for <see cref="OpenAsync"/>.</param>
    /// <exception cref="AlreadyConsumedException">The message was consumed before. Let it pass: it is acknowledged.</exception>
    public Task<T> QueryAsync<T>(
        NpgsqlBatchCommand query, Func<NpgsqlDataReader, CancellationToken, Task<T>> read, CancellationToken cancellationToken = default) =>
        ReadAsync(query, read, cancellationToken);

    async Task<T> ReadAsync<T>(NpgsqlBatchCommand? query, Func<NpgsqlDataReader, CancellationToken, Task<T>> read, CancellationToken cancellationToken)
    {
        var begins = _connection is null;
        if (begins)
        {
            _connection = await _dataSource.OpenConnectionAsync(cancellationToken);
            // Sent with the first statement.
            _transaction = await _connection.BeginTransactionAsync(cancellationToken);
            if (_rehearsal is not null)
                await _rehearsal.BeginAsync(_connection, cancellationToken);
        }

        await using var batch = new NpgsqlBatch(_connection);
        if (begins)
            batch.BatchCommands.Add(InboxTable.TryInsert(Entry));
        if (query is not null)
            batch.BatchCommands.Add(query);

        await using var reader = await batch.ExecuteReaderAsync(cancellationToken);
        if (begins)
        {
            if (!await reader.ReadAsync(cancellationToken))
            {
                IsRepeat = true;
                throw new AlreadyConsumedException(Entry.MessageId, Entry.ConsumerId);
            }

            await reader.NextResultAsync(cancellationToken);
        }

        return await read(reader, cancellationToken);
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
    /// <returns>What was published, to be brought to the broker; nothing for a repeat.</returns>
    internal async Task<IReadOnlyList<OutboxMessage>> CommitAsync(CancellationToken cancellationToken)
    {
        if (_rehearsal is not null)
        {
            await RehearseAsync(_rehearsal, cancellationToken);
            return [];
        }

        if (!IsRepeat)
        {
            if (_connection is { } connection)
                await CommitAsync(connection, cancellationToken);
            else
                IsRepeat = !await _group.CommitAsync(this);
        }

        IsOpen = false;
        if (IsRepeat)
            return [];

        foreach (var action in _committed)
            action();

        return _published;
    }

    // Everything that would be written is, so that what fails only there fails here, too; then it is counted instead of committed.
    async Task RehearseAsync(Rehearsal rehearsal, CancellationToken cancellationToken)
    {
        var connection = await OpenAsync(cancellationToken);
        await using (var batch = new NpgsqlBatch(connection))
        {
            AddWrites(batch);
            if (batch.BatchCommands.Count > 0)
                await batch.ExecuteNonQueryAsync(cancellationToken);
        }

        await rehearsal.MeasureAsync(connection, _published, cancellationToken);
        IsOpen = false;
    }

    void AddWrites(NpgsqlBatch batch)
    {
        foreach (var command in _deferred)
            batch.BatchCommands.Add(command);
        if (_cancelled.Count > 0)
            batch.BatchCommands.Add(OutboxTable.Cancel(_cancelled));
        if (_published.Count > 0)
            batch.BatchCommands.Add(OutboxTable.Insert(_published));
    }

    async Task CommitAsync(NpgsqlConnection connection, CancellationToken cancellationToken)
    {
        await using var batch = new NpgsqlBatch(connection);
        AddWrites(batch);
        // COMMIT of a transaction that a swallowed error aborted is a silent rollback: any other statement says so.
        if (batch.BatchCommands.Count == 0)
            batch.BatchCommands.Add(new NpgsqlBatchCommand("select 1"));
        batch.BatchCommands.Add(new NpgsqlBatchCommand("commit"));
        await batch.ExecuteNonQueryAsync(cancellationToken);
    }

    /// <summary>Rolls back unless it was committed, and gives the connection back.</summary>
    public async ValueTask DisposeAsync()
    {
        IsOpen = false;
        // Npgsql rolls back on dispose when the server still is in the transaction, and only then.
        if (_transaction is not null)
            await _transaction.DisposeAsync();
        if (_connection is not null)
            await _connection.DisposeAsync();
    }
}

/// <summary>A message came again to a consumer that is done with it. It is acknowledged, and nothing else happens.</summary>
public sealed class AlreadyConsumedException(Guid messageId, string consumerId)
    : Exception($"Message {messageId} was already consumed by '{consumerId}'.");

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
