using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Npgsql;

namespace Pulse.Messaging.Inbox;

/// <summary>Forgets consumed messages after <see cref="MessagingOptions.InboxRetention"/>, once an hour.</summary>
sealed partial class InboxPruner(NpgsqlDataSource dataSource, MessagingOptions options, TimeProvider clock, ILogger<InboxPruner> log)
    : BackgroundService
{
    const int Piece = 10_000;

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        using var hourly = new PeriodicTimer(TimeSpan.FromHours(1));
        do
        {
            try
            {
                await PruneAsync(stoppingToken);
            }
            catch (Exception exception) when (exception is NpgsqlException or TimeoutException)
            {
                Failed(log, exception);
            }
        }
        while (await hourly.WaitForNextTickAsync(stoppingToken));
    }

    /// <summary>Deletes all that is older than the retention.</summary>
    /// <returns>How many rows.</returns>
    internal async Task<long> PruneAsync(CancellationToken cancellationToken)
    {
        var before = (clock.GetUtcNow() - options.InboxRetention).UtcDateTime;
        long pruned = 0;
        int piece;
        do
        {
            piece = await InboxTable.PruneAsync(dataSource, before, Piece, cancellationToken);
            pruned += piece;
        }
        while (piece == Piece);

        if (pruned > 0)
            Pruned(log, pruned);
        return pruned;
    }

    [LoggerMessage(Level = LogLevel.Information, Message = "Forgot {Count} consumed messages that are past the retention")]
    static partial void Pruned(ILogger logger, long count);

    [LoggerMessage(Level = LogLevel.Warning, Message = "Could not prune the inbox; the next try is in an hour")]
    static partial void Failed(ILogger logger, Exception exception);
}
