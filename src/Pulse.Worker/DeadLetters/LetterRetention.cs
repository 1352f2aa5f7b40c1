using Npgsql;
using Pulse.Contracts.DeadLetters;

namespace Pulse.Worker.DeadLetters;

/// <summary>Forgets letters whose time is over, in small pieces: what is resolved after a week, all others thirty days after they last changed.</summary>
/// <remarks>Shorter than the inbox remembers: as long as a letter can be replayed, it is known whether its message was consumed.</remarks>
sealed partial class LetterRetention(NpgsqlDataSource dataSource, TimeProvider clock, ILogger<LetterRetention> log) : BackgroundService
{
    public static readonly TimeSpan Resolved = TimeSpan.FromDays(7);
    public static readonly TimeSpan Others = TimeSpan.FromDays(30);

    static readonly TimeSpan Every = TimeSpan.FromMinutes(10);
    const int Piece = 1000;

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        while (true)
        {
            try
            {
                await PruneAsync(stoppingToken);
            }
            catch (Exception exception) when (exception is NpgsqlException or TimeoutException)
            {
                Failed(log, exception.Message);
            }

            await Task.Delay(Every, stoppingToken);
        }
    }

    const string LettersSql = """
        delete from pulse.dead_letters where dead_letter_id in (
            select d.dead_letter_id from pulse.dead_letters d
            where d.status = any ($1) and d.changed_at < $2
              and not exists (select from pulse.replay_items i where i.dead_letter_id = d.dead_letter_id and i.active)
            order by d.changed_at limit $3 for update of d skip locked)
        """;

    const string ReplaysSql = """
        delete from pulse.replays where replay_id in (
            select r.replay_id from pulse.replays r
            where r.ended_at < $1 and not exists (select from pulse.replay_items i where i.replay_id = r.replay_id and i.active)
            limit 10)
        """;

    // Asked twice: a group that gets a letter while this runs has a later time then, and stays.
    const string GroupsSql = """
        delete from pulse.dead_letter_groups g
        where g.last_failed_at < $1 and not exists (select from pulse.dead_letters d where d.fingerprint = g.fingerprint)
        """;

    /// <returns>How many letters are gone.</returns>
    internal async Task<long> PruneAsync(CancellationToken cancellationToken)
    {
        var now = clock.GetUtcNow().UtcDateTime;
        long pruned = 0;
        foreach (var (statuses, before) in ((string[], DateTime)[])[([DeadLetterStatus.Resolved], now - Resolved), ([.. DeadLetterStatus.All.Except([DeadLetterStatus.Resolved])], now - Others)])
        {
            int piece;
            do
            {
                piece = await RunAsync(
                    LettersSql, cancellationToken, new NpgsqlParameter<string[]> { TypedValue = statuses }, Time(before), new NpgsqlParameter<int> { TypedValue = Piece });
                pruned += piece;
            }
            while (piece == Piece);
        }

        while (await RunAsync(ReplaysSql, cancellationToken, Time(now - Others)) > 0)
        {
        }

        await RunAsync(GroupsSql, cancellationToken, Time(now - Resolved));
        if (pruned > 0)
            Pruned(log, pruned);
        return pruned;
    }

    async Task<int> RunAsync(string sql, CancellationToken cancellationToken, params NpgsqlParameter[] parameters)
    {
        await using var command = dataSource.CreateCommand(sql);
        command.Parameters.AddRange(parameters);
        return await command.ExecuteNonQueryAsync(cancellationToken);
    }

    static NpgsqlParameter<DateTime> Time(DateTime time) => new() { TypedValue = time };

    [LoggerMessage(Level = LogLevel.Information, Message = "Forgot {Count} dead letters that are past the retention")]
    static partial void Pruned(ILogger logger, long count);

    [LoggerMessage(Level = LogLevel.Warning, Message = "Dead letters could not be pruned ({Reason}); the next try is in ten minutes")]
    static partial void Failed(ILogger logger, string reason);
}
