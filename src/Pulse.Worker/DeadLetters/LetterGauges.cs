using System.Diagnostics.Metrics;
using Npgsql;
using Pulse.Contracts.DeadLetters;
using Pulse.Messaging;

namespace Pulse.Worker.DeadLetters;

/// <summary>
/// How many letters there are: read from what is counted as letters change, so that a million cost what ten do; and the sweep that adds up
/// the differences.
/// </summary>
sealed partial class LetterGauges(NpgsqlDataSource dataSource, EndpointNames endpoints, TimeProvider clock, ILogger<LetterGauges> log) : BackgroundService
{
    static readonly TimeSpan Every = TimeSpan.FromSeconds(2);
    static readonly TimeSpan AtMost = TimeSpan.FromSeconds(30);

    Dictionary<(string Queue, string Status), long>? _latest;

    /// <summary>The latest reading, with the zeros of every endpoint. Nothing before the first one and while Postgres is away.</summary>
    public IEnumerable<Measurement<long>> Observe()
    {
        if (_latest is not { } latest)
            return [];

        return
            from queue in endpoints.All.Union(latest.Keys.Select(key => key.Queue))
            from status in DeadLetterStatus.All
            select new Measurement<long>(
                latest.GetValueOrDefault((queue, status)),
                KeyValuePair.Create<string, object?>("queue", queue), KeyValuePair.Create<string, object?>("status", status));
    }

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        while (true)
        {
            var started = clock.GetTimestamp();
            try
            {
                await FoldAsync(stoppingToken);
                _latest = await ReadAsync(stoppingToken);
            }
            catch (Exception exception) when (exception is NpgsqlException or TimeoutException)
            {
                _latest = null;
                NotRead(log, exception.Message);
            }

            // A million groups would take their time: no more than a fiftieth of a processor's.
            var pause = clock.GetElapsedTime(started) * 50;
            await Task.Delay(pause < Every ? Every : pause > AtMost ? AtMost : pause, stoppingToken);
        }
    }

    // One at a time: two would add to the same rows. Readers see the sum before or after, never in between.
    const string FoldSql = """
        with one as materialized (select pg_try_advisory_xact_lock(5711900611840364413) as mine),
        folded as (
            delete from pulse.dead_letter_differences
            where ctid = any (array(select ctid from pulse.dead_letter_differences where (select mine from one) limit 100000))
            returning fingerprint, queue, status, letters)
        insert into pulse.dead_letter_counts as c (fingerprint, queue, status, letters)
        select fingerprint, queue, status, sum(letters) from folded group by fingerprint, queue, status
        on conflict (fingerprint, queue, status) do update set letters = c.letters + excluded.letters
        """;

    const string ClearSql = "delete from pulse.dead_letter_counts where letters = 0";

    internal async Task FoldAsync(CancellationToken cancellationToken)
    {
        await using var batch = dataSource.CreateBatch();
        batch.BatchCommands.Add(new NpgsqlBatchCommand(FoldSql));
        batch.BatchCommands.Add(new NpgsqlBatchCommand(ClearSql));
        await batch.ExecuteNonQueryAsync(cancellationToken);
    }

    const string ReadSql = "select queue, status, sum(letters)::bigint from pulse.dead_letter_counts_v1 group by queue, status";

    async Task<Dictionary<(string, string), long>> ReadAsync(CancellationToken cancellationToken)
    {
        await using var command = dataSource.CreateCommand(ReadSql);
        var read = new Dictionary<(string, string), long>();
        await using var row = await command.ExecuteReaderAsync(cancellationToken);
        while (await row.ReadAsync(cancellationToken))
            read[(row.GetString(0), row.GetString(1))] = row.GetInt64(2);
        return read;
    }

    [LoggerMessage(Level = LogLevel.Debug, Message = "The dead letters could not be counted: {Reason}")]
    static partial void NotRead(ILogger logger, string reason);
}
