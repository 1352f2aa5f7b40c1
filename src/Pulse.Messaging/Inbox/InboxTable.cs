using Npgsql;

namespace Pulse.Messaging.Inbox;

/// <summary>One row: this consumer is done with this message.</summary>
readonly record struct InboxEntry(Guid MessageId, string ConsumerId, DateTime ConsumedAt);

/// <summary>The statements on <c>messaging.inbox</c>.</summary>
static class InboxTable
{
    // A concurrent duplicate waits here for the first one's transaction, and then either sees its row or takes its place.
    const string TryInsertSql = """
        insert into messaging.inbox (message_id, consumer_id, consumed_at) values ($1, $2, $3)
        on conflict (message_id, consumer_id) do nothing
        returning true
        """;

    /// <summary>Gives a row unless this consumer is already done with the message.</summary>
    public static NpgsqlBatchCommand TryInsert(InboxEntry entry) => new(TryInsertSql)
    {
        Parameters =
        {
            new NpgsqlParameter<Guid> { TypedValue = entry.MessageId },
            new NpgsqlParameter<string> { TypedValue = entry.ConsumerId },
            new NpgsqlParameter<DateTime> { TypedValue = entry.ConsumedAt },
        },
    };

    // For a batch that is a whole transaction: the error stops what stands behind it. In the order of the key, so that two groups
    // with messages in common wait for one another in one direction only.
    const string InsertSql = """
        insert into messaging.inbox (message_id, consumer_id, consumed_at)
        select * from unnest($1::uuid[], $2::text[], $3::timestamptz[]) as entry (message_id, consumer_id, consumed_at)
        order by message_id, consumer_id
        """;

    /// <summary>Fails, as <see cref="IsRepeat"/> tells, when a consumer is already done with one of the messages.</summary>
    public static NpgsqlBatchCommand Insert(IReadOnlyList<MessageTransaction> transactions) => new(InsertSql)
    {
        Parameters =
        {
            new NpgsqlParameter<Guid[]> { TypedValue = [.. transactions.Select(transaction => transaction.Entry.MessageId)] },
            new NpgsqlParameter<string[]> { TypedValue = [.. transactions.Select(transaction => transaction.Entry.ConsumerId)] },
            new NpgsqlParameter<DateTime[]> { TypedValue = [.. transactions.Select(transaction => transaction.Entry.ConsumedAt)] },
        },
    };

    public static bool IsRepeat(PostgresException exception) =>
        exception is { SqlState: PostgresErrorCodes.UniqueViolation, SchemaName: "messaging", TableName: "inbox" };

    const string ConsumedSql = """
        select message_id, consumer_id from messaging.inbox
        join unnest($1::uuid[], $2::text[]) as entry (message_id, consumer_id) using (message_id, consumer_id)
        """;

    /// <returns>Those that their consumer was already done with.</returns>
    public static async Task<HashSet<(Guid MessageId, string ConsumerId)>> ConsumedAsync(
        NpgsqlDataSource dataSource, IReadOnlyList<MessageTransaction> transactions)
    {
        await using var command = dataSource.CreateCommand(ConsumedSql);
        command.Parameters.Add(new NpgsqlParameter<Guid[]> { TypedValue = [.. transactions.Select(transaction => transaction.Entry.MessageId)] });
        command.Parameters.Add(new NpgsqlParameter<string[]> { TypedValue = [.. transactions.Select(transaction => transaction.Entry.ConsumerId)] });
        var consumed = new HashSet<(Guid, string)>();
        await using var row = await command.ExecuteReaderAsync();
        while (await row.ReadAsync())
            consumed.Add((row.GetGuid(0), row.GetString(1)));
        return consumed;
    }

    // In small pieces, so that a long backlog holds no long locks and no long transaction.
    const string PruneSql = """
        delete from messaging.inbox where ctid = any(array(
            select ctid from messaging.inbox where consumed_at < $1 limit $2))
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
