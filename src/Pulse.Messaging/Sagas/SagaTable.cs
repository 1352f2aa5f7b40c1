using System.Text.Json;
using System.Text.Json.Serialization;
using MassTransit;
using Npgsql;
using NpgsqlTypes;

namespace Pulse.Messaging.Sagas;

/// <summary>How one kind of saga is kept: under which frozen name, and in which state it is.</summary>
/// <param name="Name">The value of <c>messaging.sagas.saga</c>. Never a type's name: renaming a class must not lose its instances.</param>
/// <param name="State">The property that MassTransit keeps the state's name in.</param>
public sealed record SagaMap<TSaga>(string Name, Func<TSaga, string> State)
    where TSaga : class, ISaga;

/// <summary>The statements on <c>messaging.sagas</c>.</summary>
static class SagaTable
{
    internal static readonly JsonSerializerOptions Json = new(JsonSerializerDefaults.Web)
    {
        DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull,
    };

    // The lock is held until the message's transaction ends: one message of one saga at a time, over all workers.
    const string LoadSql = "select body from messaging.sagas where saga = $1 and correlation_id = $2 for update";

    public static Task<TSaga?> LoadAsync<TSaga>(MessageTransaction transaction, string saga, Guid correlationId, CancellationToken cancellationToken)
        where TSaga : class =>
        transaction.QueryAsync(
            new NpgsqlBatchCommand(LoadSql)
            {
                Parameters = { new NpgsqlParameter<string> { TypedValue = saga }, new NpgsqlParameter<Guid> { TypedValue = correlationId } },
            },
            async (row, cancellation) => await row.ReadAsync(cancellation) ? JsonSerializer.Deserialize<TSaga>(row.GetFieldValue<byte[]>(0), Json) : null,
            cancellationToken);

    // No ON CONFLICT: when two first messages of one saga race, the second waits here for the first, fails on the key, rolls
    // back whole, and finds the saga at its next try.
    const string InsertSql = """
        insert into messaging.sagas (saga, correlation_id, current_state, version, body, created_at, updated_at)
        values ($1, $2, $3, 1, $4, $5, $5)
        """;

    const string UpdateSql = """
        update messaging.sagas set current_state = $3, version = version + 1, body = $4, updated_at = $5
        where saga = $1 and correlation_id = $2
        """;

    public static NpgsqlBatchCommand Insert<TSaga>(SagaMap<TSaga> map, TSaga saga, DateTime now)
        where TSaga : class, ISaga => Write(InsertSql, map, saga, now);

    public static NpgsqlBatchCommand Update<TSaga>(SagaMap<TSaga> map, TSaga saga, DateTime now)
        where TSaga : class, ISaga => Write(UpdateSql, map, saga, now);

    static NpgsqlBatchCommand Write<TSaga>(string sql, SagaMap<TSaga> map, TSaga saga, DateTime now)
        where TSaga : class, ISaga => new(sql)
        {
            Parameters =
        {
            new NpgsqlParameter<string> { TypedValue = map.Name },
            new NpgsqlParameter<Guid> { TypedValue = saga.CorrelationId },
            new NpgsqlParameter<string> { TypedValue = map.State(saga) },
            new NpgsqlParameter<byte[]> { TypedValue = JsonSerializer.SerializeToUtf8Bytes(saga, Json), NpgsqlDbType = NpgsqlDbType.Jsonb },
            new NpgsqlParameter<DateTime> { TypedValue = now },
        },
        };

    const string DeleteSql = "delete from messaging.sagas where saga = $1 and correlation_id = $2";

    public static NpgsqlBatchCommand Delete(string saga, Guid correlationId) => new(DeleteSql)
    {
        Parameters = { new NpgsqlParameter<string> { TypedValue = saga }, new NpgsqlParameter<Guid> { TypedValue = correlationId } },
    };
}
