using Npgsql;
using NpgsqlTypes;

namespace Pulse.Messaging.Outbox;

/// <summary>The statements on <c>messaging.outbox</c>.</summary>
static class OutboxTable
{
    // unnest: one statement text for any number of rows, so it is prepared once.
    const string InsertSql = """
        insert into messaging.outbox
            (id, message_id, exchange, routing_key, content_type, headers, body, due_at, relay_at, expires_at, token)
        select * from unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::jsonb[], $7::bytea[],
                             $8::timestamptz[], $9::timestamptz[], $10::timestamptz[], $11::uuid[])
        """;

    public static NpgsqlBatchCommand Insert(IReadOnlyList<OutboxMessage> messages) => WithRows(new NpgsqlBatchCommand(InsertSql), messages);

    // Each array in a select of its own: Postgres would count its elements otherwise, and plan anew for every group.
    const string InsertExceptSql = """
        insert into messaging.outbox
            (id, message_id, exchange, routing_key, content_type, headers, body, due_at, relay_at, expires_at, token)
        select id, message_id, exchange, routing_key, content_type, headers, body, due_at, relay_at, expires_at, token
        from unnest((select $1::uuid[]), (select $2::uuid[]), (select $3::text[]), (select $4::text[]), (select $5::text[]), (select $6::jsonb[]),
                    (select $7::bytea[]), (select $8::timestamptz[]), (select $9::timestamptz[]), (select $10::timestamptz[]), (select $11::uuid[]), (select $12::text[]))
            as given (id, message_id, exchange, routing_key, content_type, headers, body, due_at, relay_at, expires_at, token, key)
        where
        """;

    /// <summary>Leaves out those of which a query says true: a constant of the caller's, over <c>given.key</c>.</summary>
    public static NpgsqlBatchCommand InsertExcept(IReadOnlyList<OutboxMessage> messages, string[] keys, string exceptSql)
    {
        var command = WithRows(new NpgsqlBatchCommand($"{InsertExceptSql} ({exceptSql}) is not true"), messages);
        command.Parameters.Add(new NpgsqlParameter<string[]> { TypedValue = keys });
        return command;
    }

    static NpgsqlBatchCommand WithRows(NpgsqlBatchCommand command, IReadOnlyList<OutboxMessage> messages)
    {
        command.Parameters.Add(Array(messages, NpgsqlDbType.Uuid, message => message.Id));
        command.Parameters.Add(Array(messages, NpgsqlDbType.Uuid, message => message.MessageId));
        command.Parameters.Add(Array(messages, NpgsqlDbType.Text, message => message.Exchange));
        command.Parameters.Add(Array(messages, NpgsqlDbType.Text, message => message.RoutingKey));
        command.Parameters.Add(Array(messages, NpgsqlDbType.Text, message => message.ContentType));
        command.Parameters.Add(Array(messages, NpgsqlDbType.Jsonb, message => message.Headers));
        command.Parameters.Add(Array(messages, NpgsqlDbType.Bytea, message => message.Body));
        command.Parameters.Add(Array(messages, NpgsqlDbType.TimestampTz, message => message.DueAt));
        command.Parameters.Add(Array(messages, NpgsqlDbType.TimestampTz, message => message.RelayAt));
        command.Parameters.Add(Array(messages, NpgsqlDbType.TimestampTz, message => message.ExpiresAt));
        command.Parameters.Add(Array(messages, NpgsqlDbType.Uuid, message => message.Token));
        return command;
    }

    const string CancelSql = "delete from messaging.outbox where token = any($1)";

    public static NpgsqlBatchCommand Cancel(IReadOnlyCollection<Guid> tokens) => new(CancelSql)
    {
        Parameters = { new NpgsqlParameter<Guid[]> { TypedValue = [.. tokens] } },
    };

    const string DeleteSql = "delete from messaging.outbox where id = any($1)";

    public static NpgsqlBatchCommand Delete(IReadOnlyCollection<Guid> ids) => new(DeleteSql)
    {
        Parameters = { new NpgsqlParameter<Guid[]> { TypedValue = [.. ids] } },
    };

    // SKIP LOCKED: any number of relays work side by side. No high-water mark: the order of ids is not the order of commits,
    // so a row may appear behind one that was already taken.
    const string ClaimSql = """
        select id, message_id, exchange, routing_key, content_type, headers::text, body, due_at, expires_at, attempts
        from messaging.outbox
        where relay_at <= $1
        order by relay_at
        limit $2
        for update skip locked
        """;

    public static async Task<List<OutboxMessage>> ClaimAsync(NpgsqlConnection connection, DateTime now, int limit, CancellationToken cancellationToken)
    {
        await using var command = new NpgsqlCommand(ClaimSql, connection);
        command.Parameters.Add(new NpgsqlParameter<DateTime> { TypedValue = now });
        command.Parameters.Add(new NpgsqlParameter<int> { TypedValue = limit });

        var claimed = new List<OutboxMessage>();
        await using var row = await command.ExecuteReaderAsync(cancellationToken);
        while (await row.ReadAsync(cancellationToken))
        {
            claimed.Add(new OutboxMessage
            {
                Id = row.GetGuid(0),
                MessageId = row.GetGuid(1),
                Exchange = row.GetString(2),
                RoutingKey = row.GetString(3),
                ContentType = row.GetString(4),
                Headers = row.IsDBNull(5) ? null : row.GetString(5),
                Body = row.GetFieldValue<byte[]>(6),
                DueAt = row.GetDateTime(7),
                RelayAt = now,
                ExpiresAt = row.IsDBNull(8) ? null : row.GetDateTime(8),
                Attempts = row.GetInt32(9),
            });
        }

        return claimed;
    }

    // A message that was published in vain waits longer each time, up to five minutes.
    const string PostponeSql = """
        update messaging.outbox o
        set attempts = o.attempts + 1,
            last_error = failed.error,
            relay_at = $3::timestamptz + least(interval '1 second' * power(2, least(o.attempts, 12)), interval '5 minutes')
        from unnest($1::uuid[], $2::text[]) as failed(id, error)
        where o.id = failed.id
        """;

    public static NpgsqlBatchCommand Postpone(IReadOnlyList<PublishFailure> failures, DateTime now) => new(PostponeSql)
    {
        Parameters =
        {
            new NpgsqlParameter<Guid[]> { TypedValue = [.. failures.Select(failure => failure.Id)] },
            new NpgsqlParameter<string[]> { TypedValue = [.. failures.Select(failure => failure.Error)] },
            new NpgsqlParameter<DateTime> { TypedValue = now },
        },
    };

    const string NextSql = "select relay_at from messaging.outbox order by relay_at limit 1";

    /// <returns>When the earliest row may be taken; null when there is none.</returns>
    public static async Task<DateTime?> NextAsync(NpgsqlDataSource dataSource, CancellationToken cancellationToken)
    {
        await using var command = dataSource.CreateCommand(NextSql);
        return await command.ExecuteScalarAsync(cancellationToken) as DateTime?;
    }

    const string DepthSql = "select count(*), min(due_at) from messaging.outbox where due_at <= $1";

    /// <returns>How many messages are due and still here, and since when the oldest is due. Timers that are not yet due do not count.</returns>
    public static async Task<(long Depth, DateTime? Oldest)> DepthAsync(NpgsqlDataSource dataSource, DateTime now, CancellationToken cancellationToken)
    {
        await using var command = dataSource.CreateCommand(DepthSql);
        command.Parameters.Add(new NpgsqlParameter<DateTime> { TypedValue = now });
        await using var row = await command.ExecuteReaderAsync(cancellationToken);
        await row.ReadAsync(cancellationToken);
        return (row.GetInt64(0), row.IsDBNull(1) ? null : row.GetDateTime(1));
    }

    static NpgsqlParameter<T[]> Array<T>(IReadOnlyList<OutboxMessage> messages, NpgsqlDbType type, Func<OutboxMessage, T> value)
    {
        var values = new T[messages.Count];
        for (var i = 0; i < values.Length; i++)
            values[i] = value(messages[i]);

        return new NpgsqlParameter<T[]> { TypedValue = values, NpgsqlDbType = NpgsqlDbType.Array | type };
    }
}
