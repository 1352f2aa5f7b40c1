using Npgsql;
using Pulse.Contracts.Hooks;
using Pulse.Messaging.Outbox;

namespace Pulse.Worker.Hooks;

/// <summary>
/// Finds calls that nothing moves on (their message was dead-lettered, or a timer's worker had another clock) and has them continued.
/// Also forgets those that have ended long ago.
/// </summary>
sealed partial class HookSweep(NpgsqlDataSource dataSource, OutboxPublisher publisher, HookOptions options, TimeProvider clock, ILogger<HookSweep> log)
    : BackgroundService
{
    const int Piece = 500;

    static readonly TimeSpan Every = TimeSpan.FromSeconds(30);

    /// <summary>For so long a message may be on its way.</summary>
    internal static readonly TimeSpan OverdueAfter = TimeSpan.FromMinutes(1);

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        using var timer = new PeriodicTimer(Every);
        while (await timer.WaitForNextTickAsync(stoppingToken))
        {
            try
            {
                await SweepAsync(stoppingToken);
                while (await HookCallTable.PruneAsync(dataSource, clock.GetUtcNow() - options.Keep, Piece, stoppingToken) == Piece)
                {
                }
            }
            catch (Exception exception) when (exception is NpgsqlException or TimeoutException)
            {
                Failed(log, exception.Message);
            }
        }
    }

    /// <returns>How many were found.</returns>
    internal async Task<int> SweepAsync(CancellationToken cancellationToken)
    {
        var now = clock.GetUtcNow();
        await using var connection = await dataSource.OpenConnectionAsync(cancellationToken);
        await using var transaction = await connection.BeginTransactionAsync(cancellationToken);
        var overdue = await HookCallTable.ClaimOverdueAsync(connection, now, now - OverdueAfter, Piece, cancellationToken);
        if (overdue.Count == 0)
            return 0;

        await using (var batch = new NpgsqlBatch(connection, transaction))
        {
            foreach (var callId in overdue)
                batch.BatchCommands.Add(publisher.Publish(new ContinueHookCall { CallId = callId }));
            batch.BatchCommands.Add(new NpgsqlBatchCommand("commit"));
            await batch.ExecuteNonQueryAsync(CancellationToken.None);
        }

        publisher.Committed();
        DrivenOn(log, overdue.Count);
        return overdue.Count;
    }

    // What becomes of each is said when it is called; pulse_hook_calls_oldest_seconds tells of those that nothing helps.
    [LoggerMessage(Level = LogLevel.Debug, Message = "{Count} calls of the hook are overdue; they are continued")]
    static partial void DrivenOn(ILogger logger, int count);

    [LoggerMessage(Level = LogLevel.Warning, Message = "Overdue calls of the hook could not be looked for ({Reason}); the next look is soon")]
    static partial void Failed(ILogger logger, string reason);
}
