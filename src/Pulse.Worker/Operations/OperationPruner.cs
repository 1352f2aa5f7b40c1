using Npgsql;

namespace Pulse.Worker.Operations;

/// <summary>Forgets completed operations after <see cref="OperationOptions.Retention"/>, once an hour. What they changed stands in the audit log.</summary>
sealed partial class OperationPruner(NpgsqlDataSource dataSource, OperationOptions options, TimeProvider clock, ILogger<OperationPruner> log)
    : BackgroundService
{
    const int Piece = 1_000;

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        using var hourly = new PeriodicTimer(TimeSpan.FromHours(1));
        do
        {
            try
            {
                await PruneAsync(Piece, stoppingToken);
            }
            catch (Exception exception) when (exception is NpgsqlException or TimeoutException)
            {
                Failed(log, exception.Message);
            }
        }
        while (await hourly.WaitForNextTickAsync(stoppingToken));
    }

    /// <summary>Deletes all that ended longer ago than the retention.</summary>
    /// <param name="limit">How many at a time.</param>
    /// <returns>How many rows.</returns>
    internal async Task<long> PruneAsync(int limit, CancellationToken cancellationToken)
    {
        var before = (clock.GetUtcNow() - options.Retention).UtcDateTime;
        long pruned = 0;
        int piece;
        do
        {
            piece = await OperationTable.PruneAsync(dataSource, before, limit, cancellationToken);
            pruned += piece;
        }
        while (piece == limit);

        if (pruned > 0)
            Pruned(log, pruned);
        return pruned;
    }

    [LoggerMessage(Level = LogLevel.Information, Message = "Forgot {Count} completed operations that are past the retention")]
    static partial void Pruned(ILogger logger, long count);

    [LoggerMessage(Level = LogLevel.Warning, Message = "Could not prune the operations ({Reason}); the next try is in an hour")]
    static partial void Failed(ILogger logger, string reason);
}
