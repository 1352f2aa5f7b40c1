using System.Text.Json;
using Npgsql;
using NpgsqlTypes;
using Pulse.Contracts.DeadLetters;

namespace Pulse.Ingress.DeadLetters;

/// <summary>Replays, and how far they are.</summary>
static class ReplayTable
{
    const string Columns = """
        replay_id, status, stop_reason, request, plan, preview, planned_by, planned_at, expires_at, rate_per_second, canary, stop_on_failure_ratio,
        started_by, started_at, ended_at, letters, planned, queued, sent, resolved, failed_again, unanswered, excluded, cancelled
        """;

    const string ListSql = $"""
        select {Columns} from pulse.replays_v1
        where ($1 is null or (planned_at, replay_id) < ($1, $2)) and ($3 is null or status = $3)
        order by planned_at desc, replay_id desc limit $4
        """;

    /// <summary>The newest first; one more than the limit, if there is one.</summary>
    public static async Task<IReadOnlyList<Replay>> ListAsync(NpgsqlDataSource dataSource, ReplayQuery query, CancellationToken cancellationToken)
    {
        await using var command = dataSource.CreateCommand(ListSql);
        command.Parameters.AddRange(LetterPlace.Parameters(query.After));
        command.Parameters.Add(new NpgsqlParameter<string?> { TypedValue = query.Status, NpgsqlDbType = NpgsqlDbType.Text });
        command.Parameters.Add(new NpgsqlParameter<int> { TypedValue = query.Limit + 1 });
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        var replays = new List<Replay>();
        while (await reader.ReadAsync(cancellationToken))
            replays.Add(Read(reader));

        return replays;
    }

    const string FindSql = $"select {Columns} from pulse.replays_v1 where replay_id = $1";

    const string TroubledSql = """
        select dead_letter_id, state, attempt, sent_at, handled_at from pulse.replay_items_v1
        where replay_id = $1 and state in ('failed_again', 'unanswered', 'excluded') order by state, position limit 50
        """;

    public static async Task<Replay?> FindAsync(NpgsqlDataSource dataSource, Guid replayId, CancellationToken cancellationToken)
    {
        await using var batch = dataSource.CreateBatch();
        foreach (var sql in (ReadOnlySpan<string>)[FindSql, TroubledSql])
            batch.BatchCommands.Add(new NpgsqlBatchCommand(sql) { Parameters = { new NpgsqlParameter<Guid> { TypedValue = replayId } } });

        await using var reader = await batch.ExecuteReaderAsync(cancellationToken);
        if (!await reader.ReadAsync(cancellationToken))
            return null;

        var replay = Read(reader);
        await reader.NextResultAsync(cancellationToken);
        var troubled = new List<ReplayItem>();
        while (await reader.ReadAsync(cancellationToken))
        {
            troubled.Add(new ReplayItem(
                reader.GetGuid(0), reader.GetString(1), reader.IsDBNull(2) ? null : reader.GetInt32(2), Time(reader, 3), Time(reader, 4)));
        }

        return replay with { Troubled = troubled };
    }

    static Replay Read(NpgsqlDataReader reader) => new()
    {
        ReplayId = reader.GetGuid(0),
        Status = reader.GetString(1),
        StopReason = reader.IsDBNull(2) ? null : reader.GetString(2),
        Request = JsonSerializer.Deserialize(reader.GetString(3), DeadLetterJson.Default.PlanRequest) ?? new PlanRequest(),
        Plan = ReplayMasking.Of(JsonSerializer.Deserialize(reader.GetString(4), DeadLetterJson.Default.ReplayPlan)!),
        Preview = reader.IsDBNull(5) ? null : ReplayMasking.Of(JsonSerializer.Deserialize(reader.GetString(5), DeadLetterJson.Default.PreviewResult)!),
        PlannedBy = reader.GetString(6),
        PlannedAt = reader.GetDateTime(7),
        ExpiresAt = reader.GetDateTime(8),
        RatePerSecond = reader.IsDBNull(9) ? null : reader.GetDouble(9),
        Canary = reader.IsDBNull(10) ? null : reader.GetInt32(10),
        StopOnFailureRatio = reader.IsDBNull(11) ? null : reader.GetDouble(11),
        StartedBy = reader.IsDBNull(12) ? null : reader.GetString(12),
        StartedAt = Time(reader, 13),
        EndedAt = Time(reader, 14),
        Progress = new ReplayProgress
        {
            Letters = reader.GetInt32(15),
            Planned = reader.GetInt64(16),
            Queued = reader.GetInt64(17),
            Sent = reader.GetInt64(18),
            Resolved = reader.GetInt64(19),
            FailedAgain = reader.GetInt64(20),
            Unanswered = reader.GetInt64(21),
            Excluded = reader.GetInt64(22),
            Cancelled = reader.GetInt64(23),
        },
    };

    static DateTime? Time(NpgsqlDataReader reader, int column) => reader.IsDBNull(column) ? null : reader.GetDateTime(column);
}
