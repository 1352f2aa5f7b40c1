using Npgsql;

namespace Pulse.Messaging.Inbox;

/// <summary>The statements on <c>messaging.inbox</c>.</summary>
static class InboxTable
{
    // A concurrent duplicate waits here for the first one's transaction, and then either sees its row or takes its place.
    const string InsertSql = """
        insert into messaging.inbox (message_id, consumer_id, consumed_at) values ($1, $2, $3)
        on conflict (message_id, consumer_id) do nothing
        """;

    /// <returns>False when this consumer is already done with the message.</returns>
    public static async Task<bool> TryInsertAsync(
        NpgsqlConnection connection, Guid messageId, string consumerId, DateTime now, CancellationToken cancellationToken)
    {
        await using var command = new NpgsqlCommand(InsertSql, connection);
        command.Parameters.Add(new NpgsqlParameter<Guid> { TypedValue = messageId });
        command.Parameters.Add(new NpgsqlParameter<string> { TypedValue = consumerId });
        command.Parameters.Add(new NpgsqlParameter<DateTime> { TypedValue = now });
        return await command.ExecuteNonQueryAsync(cancellationToken) == 1;
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
