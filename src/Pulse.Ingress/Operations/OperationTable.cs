using System.Text.Json;
using Npgsql;
using NpgsqlTypes;

namespace Pulse.Ingress.Operations;

/// <summary>Statements on what operators asked for.</summary>
static class OperationTable
{
    const string InsertSql = """
        insert into pulse.operations (operation_id, kind, org_id, request, actor, requested_at)
        values ($1, $2, $3, $4, $5, $6)
        on conflict (operation_id) do nothing
        """;

    public static NpgsqlBatchCommand Insert(Guid operationId, string kind, Guid? orgId, string request, string actor, DateTime now) => new(InsertSql)
    {
        Parameters =
        {
            Value(operationId), Value(kind), Nullable(orgId), Json(request), Value(actor), Value(now),
        },
    };

    // jsonb compares what is said, not how it is written.
    const string RepeatedSql = $"""
        select {Columns}, kind = $2 and org_id is not distinct from $3 and request = $4 and actor = $5
        from pulse.operations where operation_id = $1
        """;

    /// <summary>The operation that stands under an id already, and whether it is the very same command.</summary>
    public static async Task<(Operation Operation, bool Same)> RepeatedAsync(
        NpgsqlConnection connection, Guid operationId, string kind, Guid? orgId, string request, string actor, CancellationToken cancellationToken)
    {
        await using var command = new NpgsqlCommand(RepeatedSql, connection)
        {
            Parameters = { Value(operationId), Value(kind), Nullable(orgId), Json(request), Value(actor) },
        };
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        await reader.ReadAsync(cancellationToken);
        return (Read(reader), reader.GetBoolean(10));
    }

    const string FindSql = $"select {Columns} from pulse.operations where operation_id = $1";

    public static async Task<Operation?> FindAsync(NpgsqlDataSource dataSource, Guid operationId, CancellationToken cancellationToken)
    {
        await using var command = dataSource.CreateCommand(FindSql);
        command.Parameters.Add(Value(operationId));
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        return await reader.ReadAsync(cancellationToken) ? Read(reader) : null;
    }

    const string CompletedSql = $"select {Columns} from pulse.operations where operation_id = any($1) and status <> 'pending'";

    /// <summary>Those of them that have come to their end.</summary>
    public static async Task<IReadOnlyList<Operation>> CompletedAsync(NpgsqlDataSource dataSource, Guid[] operationIds, CancellationToken cancellationToken)
    {
        await using var command = dataSource.CreateCommand(CompletedSql);
        command.Parameters.Add(Value(operationIds));
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        var completed = new List<Operation>();
        while (await reader.ReadAsync(cancellationToken))
            completed.Add(Read(reader));

        return completed;
    }

    const string Columns = "operation_id, kind, org_id, status, problem_status, problem_code, problem_detail, result, requested_at, completed_at";

    static Operation Read(NpgsqlDataReader reader) => new()
    {
        OperationId = reader.GetGuid(0),
        Kind = reader.GetString(1),
        OrgId = reader.IsDBNull(2) ? null : reader.GetGuid(2),
        Status = reader.GetString(3),
        Problem = reader.IsDBNull(4) ? null : new OperationProblem(
            reader.GetInt32(4), reader.IsDBNull(5) ? "refused" : reader.GetString(5), reader.IsDBNull(6) ? "It was refused." : reader.GetString(6)),
        Result = reader.IsDBNull(7) ? null : JsonSerializer.Deserialize(reader.GetString(7), OperationJson.Default.JsonElement),
        RequestedAt = reader.GetDateTime(8),
        CompletedAt = reader.IsDBNull(9) ? null : reader.GetDateTime(9),
    };

    static NpgsqlParameter<T> Value<T>(T value) => new() { TypedValue = value };

    static NpgsqlParameter<Guid?> Nullable(Guid? value) => new() { TypedValue = value, NpgsqlDbType = NpgsqlDbType.Uuid };

    static NpgsqlParameter<string> Json(string value) => new() { TypedValue = value, NpgsqlDbType = NpgsqlDbType.Jsonb };
}
