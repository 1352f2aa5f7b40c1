using Npgsql;

namespace Pulse.Worker.Lifecycle;

/// <summary>Every five minutes, what the timers missed; every few seconds, the gauges.</summary>
sealed partial class ReaperSweep(NpgsqlDataSource dataSource, Reaper reaper, ReaperOptions options, ReaperReadings readings, TimeProvider clock, ILogger<ReaperSweep> log)
    : BackgroundService
{
    static readonly TimeSpan LookEvery = TimeSpan.FromSeconds(5);

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        using var timer = new PeriodicTimer(LookEvery);
        // At the start as well: what came due while no worker ran.
        long? swept = null;
        do
        {
            try
            {
                await LookAsync(stoppingToken);
                if (swept is { } last && clock.GetElapsedTime(last) < options.SweepEvery)
                    continue;

                swept = clock.GetTimestamp();
                await reaper.SweepAsync(dataSource, stoppingToken);
            }
            catch (Exception exception) when (exception is NpgsqlException or TimeoutException)
            {
                readings.Read(null, false, false);
                Failed(log, exception.Message);
            }
        }
        while (await timer.WaitForNextTickAsync(stoppingToken));
    }

    internal async Task LookAsync(CancellationToken cancellationToken)
    {
        var now = clock.GetUtcNow();
        var seen = await ReaperTable.WatchAsync(dataSource, now, options, cancellationToken);
        readings.Read(
            seen,
            blastRadius: ReaperRules.Judge(seen.Due, 0, ReaperRules.Limit(seen.Organizations, options.Most, options.Share)) == Leave.Stopped,
            clock: !ReaperRules.IsRight(now, clock, seen.Database, options.ClockTolerance));
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "What is due to be purged could not be looked for ({Reason}); the next look is soon")]
    static partial void Failed(ILogger logger, string reason);
}
