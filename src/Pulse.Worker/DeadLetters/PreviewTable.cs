using System.Text.Json;
using Npgsql;
using NpgsqlTypes;

namespace Pulse.Worker.DeadLetters;

/// <summary>Statements of previews.</summary>
static class PreviewTable
{
    /// <param name="Request">Of the operation that asks.</param>
    public sealed record Planned(string Status, int Letters, string Request);

    /// <summary>A letter as it would go out.</summary>
    public sealed record Sent(Guid DeadLetterId, string Queue, string ContentType, Dictionary<string, object> Headers, byte[] Body);

    const string PlanSql = """
        select r.status, r.letters, coalesce((select o.request::text from pulse.operations o where o.operation_id = $2), '{}')
        from pulse.replays r where r.replay_id = $1
        """;

    /// <returns>Null: there is none.</returns>
    public static async Task<Planned?> PlanAsync(NpgsqlDataSource dataSource, Guid replayId, Guid operationId, CancellationToken cancellationToken)
    {
        await using var command = dataSource.CreateCommand(PlanSql);
        command.Parameters.Add(new NpgsqlParameter<Guid> { TypedValue = replayId });
        command.Parameters.Add(new NpgsqlParameter<Guid> { TypedValue = operationId });
        await using var row = await command.ExecuteReaderAsync(cancellationToken);
        return await row.ReadAsync(cancellationToken) ? new Planned(row.GetString(0), row.GetInt32(1), row.GetString(2)) : null;
    }

    const string LetterSql = """
        select d.dead_letter_id, d.queue, d.content_type, d.headers::text, d.body
        from pulse.replay_items i join pulse.dead_letters d using (dead_letter_id) where i.replay_id = $1 and i.position = $2
        """;

    /// <returns>Null: it is gone.</returns>
    public static async Task<Sent?> LetterAsync(NpgsqlDataSource dataSource, Guid replayId, int position, CancellationToken cancellationToken)
    {
        await using var command = dataSource.CreateCommand(LetterSql);
        command.Parameters.Add(new NpgsqlParameter<Guid> { TypedValue = replayId });
        command.Parameters.Add(new NpgsqlParameter<int> { TypedValue = position });
        await using var row = await command.ExecuteReaderAsync(cancellationToken);
        if (!await row.ReadAsync(cancellationToken))
            return null;

        var headers = new Dictionary<string, object>(StringComparer.OrdinalIgnoreCase);
        using var json = JsonDocument.Parse(row.GetString(3));
        foreach (var header in json.RootElement.EnumerateObject())
        {
            if (header.Value.ValueKind == JsonValueKind.String && !header.Name.StartsWith("MT-Fault-", StringComparison.Ordinal))
                headers[header.Name] = header.Value.GetString()!;
        }

        return new Sent(row.GetGuid(0), row.GetString(1), row.GetString(2), headers, row.GetFieldValue<byte[]>(4));
    }

    const string StoreSql = "update pulse.replays set preview = $2, changed_at = $3 where replay_id = $1";

    /// <summary>Keeps what it said beside the plan.</summary>
    public static NpgsqlBatchCommand Store(Guid replayId, string preview, DateTimeOffset now) => new(StoreSql)
    {
        Parameters =
        {
            new NpgsqlParameter<Guid> { TypedValue = replayId },
            new NpgsqlParameter { Value = preview, NpgsqlDbType = NpgsqlDbType.Jsonb },
            new NpgsqlParameter<DateTime> { TypedValue = now.UtcDateTime },
        },
    };
}
