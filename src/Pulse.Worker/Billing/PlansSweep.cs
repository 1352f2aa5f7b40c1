using Npgsql;
using Pulse.Catalog;

namespace Pulse.Worker.Billing;

/// <summary>
/// Puts the plans that this worker was started with in force, and computes again what was computed with others, a piece at a time.
/// </summary>
sealed partial class PlansSweep(NpgsqlDataSource dataSource, Recomputation recomputation, Plans plans, TimeProvider clock, ILogger<PlansSweep> log) : BackgroundService
{
    static readonly TimeSpan Every = TimeSpan.FromSeconds(30);

    bool _inForce;

    // Before the process is ready: nobody is to read plans of yesterday from a worker of today.
    public override async Task StartAsync(CancellationToken cancellationToken)
    {
        await PutInForceAsync(cancellationToken);
        await base.StartAsync(cancellationToken);
    }

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        using var timer = new PeriodicTimer(Every);
        do
        {
            try
            {
                if (!_inForce)
                    await PutInForceAsync(stoppingToken);
                var count = await recomputation.RunAsync(
                    (connection, _, except, limit, token) => EntitlementTable.ClaimOfOtherPlansAsync(connection, BillingRules.InForce(plans), except, limit, token),
                    "plans", $"plans:{plans.Hash[..12]}", stoppingToken);
                if (count > 0)
                    Recomputed(log, count);
            }
            catch (Exception exception) when (exception is NpgsqlException or TimeoutException)
            {
                Failed(log, exception.Message);
            }
        }
        while (await timer.WaitForNextTickAsync(stoppingToken));
    }

    async Task PutInForceAsync(CancellationToken cancellationToken)
    {
        try
        {
            await PlanTable.PutInForceAsync(dataSource, plans, clock.GetUtcNow(), cancellationToken);
            _inForce = true;
        }
        catch (Exception exception) when (exception is NpgsqlException or TimeoutException)
        {
            Failed(log, exception.Message);
        }
    }

    [LoggerMessage(Level = LogLevel.Information, Message = "{Count} organizations were computed again with the plans in force")]
    static partial void Recomputed(ILogger logger, int count);

    [LoggerMessage(Level = LogLevel.Warning, Message = "The plans could not be put in force ({Reason}); the next try is soon")]
    static partial void Failed(ILogger logger, string reason);
}
