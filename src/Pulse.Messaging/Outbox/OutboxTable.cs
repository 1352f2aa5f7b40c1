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

    public static NpgsqlBatchCommand Insert(IReadOnlyList<OutboxMessage> messages)
    {
        var command = new NpgsqlBatchCommand(InsertSql);
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

    static NpgsqlParameter<T[]> Array<T>(IReadOnlyList<OutboxMessage> messages, NpgsqlDbType type, Func<OutboxMessage, T> value)
    {
        var values = new T[messages.Count];
        for (var i = 0; i < values.Length; i++)
            values[i] = value(messages[i]);

        return new NpgsqlParameter<T[]> { TypedValue = values, NpgsqlDbType = NpgsqlDbType.Array | type };
    }
}
