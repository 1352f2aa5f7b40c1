using Npgsql;

namespace Pulse.Messaging.Inbox;

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
    public static NpgsqlBatchCommand TryInsert(Guid messageId, string consumerId, DateTime now) => Write(TryInsertSql, messageId, consumerId, now);

    // For a batch that is a whole transaction: the error stops what stands behind it.
    const string InsertSql = "insert into messaging.inbox (message_id, consumer_id, consumed_at) values ($1, $2, $3)";

    /// <summary>Fails, as <see cref="IsRepeat"/> tells, when this consumer is already done with the message.</summary>
    public static NpgsqlBatchCommand Insert(Guid messageId, string consumerId, DateTime now) => Write(InsertSql, messageId, consumerId, now);

    public static bool IsRepeat(PostgresException exception) =>
        exception is { SqlState: PostgresErrorCodes.UniqueViolation, SchemaName: "messaging", TableName: "inbox" };

    static NpgsqlBatchCommand Write(string sql, Guid messageId, string consumerId, DateTime now) => new(sql)
    {
        Parameters =
        {
            new NpgsqlParameter<Guid> { TypedValue = messageId },
            new NpgsqlParameter<string> { TypedValue = consumerId },
            new NpgsqlParameter<DateTime> { TypedValue = now },
        },
    };

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
