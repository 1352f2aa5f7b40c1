using Npgsql;

namespace Pulse.Ingress.Health;

/// <summary>How Pulse is, as far as ingress may see it.</summary>
static class HealthTable
{
    /// <summary>More than that are not counted.</summary>
    public const int OutboxMost = 10_000;

    // A timer that is not due yet is nothing that waits.
    const string OutboxSql = """
        select count(*), min(due_at), coalesce(max(attempts), 0)
        from (select due_at, attempts from pulse.outbox_due_v1 where due_at <= $1 limit 10000) as due
        """;

    const string LettersSql = """
        select queue, sum(letters)::bigint, coalesce(sum(letters) filter (where status in ('parked', 'failed_again')), 0)::bigint,
            coalesce(sum(letters) filter (where status = 'quarantined'), 0)::bigint
        from pulse.dead_letter_counts_v1 group by queue order by 3 desc, queue
        """;

    const string InvariantsSql = "select invariant, promise, what_to_do, violations, looked_at from pulse.invariant_findings order by violations = 0, invariant";

    public static async Task<HealthReport> ReadAsync(NpgsqlDataSource dataSource, DateTime now, CancellationToken cancellationToken)
    {
        await using var batch = dataSource.CreateBatch();
        batch.BatchCommands.Add(new NpgsqlBatchCommand(OutboxSql) { Parameters = { new NpgsqlParameter<DateTime> { TypedValue = now } } });
        batch.BatchCommands.Add(new NpgsqlBatchCommand(LettersSql));
        batch.BatchCommands.Add(new NpgsqlBatchCommand(InvariantsSql));
        await using var reader = await batch.ExecuteReaderAsync(cancellationToken);

        await reader.ReadAsync(cancellationToken);
        var outbox = new OutboxReport(reader.GetInt64(0), reader.IsDBNull(1) ? null : reader.GetDateTime(1), reader.GetInt32(2));

        await reader.NextResultAsync(cancellationToken);
        var queues = new List<QueueReport>();
        while (await reader.ReadAsync(cancellationToken))
            queues.Add(new QueueReport(reader.GetString(0), reader.GetInt64(1), reader.GetInt64(2), reader.GetInt64(3)));

        await reader.NextResultAsync(cancellationToken);
        var invariants = new List<InvariantReport>();
        while (await reader.ReadAsync(cancellationToken))
            invariants.Add(new InvariantReport(reader.GetString(0), reader.GetString(1), reader.GetString(2), reader.GetInt64(3), reader.GetDateTime(4)));

        return new HealthReport(outbox, queues, invariants);
    }
}

sealed record HealthReport(OutboxReport Outbox, IReadOnlyList<QueueReport> Queues, IReadOnlyList<InvariantReport> Invariants);

/// <param name="Due">Messages that should be with the broker.</param>
/// <param name="Attempts">Of the one that was tried most.</param>
sealed record OutboxReport(long Due, DateTime? Oldest, int Attempts);

/// <param name="Open">Parked, or failed again.</param>
sealed record QueueReport(string Queue, long Letters, long Open, long Quarantined);

sealed record InvariantReport(string Name, string Promise, string WhatToDo, long Violations, DateTime LookedAt);
