using Npgsql;

namespace Pulse.Worker.Billing;

/// <summary>
/// Announces what comes by itself: when a boundary of an organization's timeline has come, it is computed again, audited and published.
/// Readers have gone by the timeline already, so a late sweep grants nothing.
/// </summary>
sealed partial class BoundarySweep(Recomputation recomputation, ILogger<BoundarySweep> log) : BackgroundService
{
    static readonly TimeSpan Every = TimeSpan.FromSeconds(1);

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        using var timer = new PeriodicTimer(Every);
        while (await timer.WaitForNextTickAsync(stoppingToken))
        {
            try
            {
                var count = await recomputation.RunAsync(EntitlementTable.ClaimAtBoundaryAsync, "clock", "boundary", stoppingToken);
                if (count > 0)
                    Passed(log, count);
            }
            catch (Exception exception) when (exception is NpgsqlException or TimeoutException)
            {
                Failed(log, exception.Message);
            }
        }
    }

    [LoggerMessage(Level = LogLevel.Information, Message = "{Count} organizations came to a boundary")]
    static partial void Passed(ILogger logger, int count);

    [LoggerMessage(Level = LogLevel.Warning, Message = "Boundaries could not be looked for ({Reason}); the next look is soon")]
    static partial void Failed(ILogger logger, string reason);
}
