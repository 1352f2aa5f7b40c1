using Npgsql;
using Pulse.Worker.Billing.Stripe;

namespace Pulse.Worker.Billing;

/// <summary>Reconciles every five minutes, in one worker at a time.</summary>
sealed partial class ReconciliationWatch(
    NpgsqlDataSource dataSource, Reconciliation reconciliation, StripeOptions account, SyncOptions options, TimeProvider clock, ILogger<ReconciliationWatch> log)
    : BackgroundService
{
    // How often is looked whether it is time, by Pulse's clock, which may have been moved.
    static readonly TimeSpan Look = TimeSpan.FromSeconds(5);
    static readonly TimeSpan AfterFailure = TimeSpan.FromSeconds(30);

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        if (account.Key is null)
        {
            NoKey(log);
            return;
        }

        var started = clock.GetTimestamp();
        using var timer = new PeriodicTimer(Look);
        while (await timer.WaitForNextTickAsync(stoppingToken))
        {
            try
            {
                if (await IsDueAsync(stoppingToken) && !await LeadAsync(clock.GetElapsedTime(started) >= options.HandlingTakes, stoppingToken))
                    await Task.Delay(AfterFailure, stoppingToken);
            }
            catch (Exception exception) when (exception is NpgsqlException or TimeoutException)
            {
                Failed(log, exception.Message);
            }
        }
    }

    async Task<bool> IsDueAsync(CancellationToken cancellationToken)
    {
        var state = await ReconciliationTable.StateAsync(dataSource, cancellationToken);
        return !((clock.GetUtcNow() - state.PolledAt)?.Duration() < options.PollEvery);
    }

    // The lock is the session's: a leader that dies has lost it.
    async Task<bool> LeadAsync(bool redrive, CancellationToken cancellationToken)
    {
        await using var session = await dataSource.OpenConnectionAsync(cancellationToken);
        if (!await ReconciliationTable.TryLeadAsync(session, cancellationToken))
            return true;

        try
        {
            // Another may have done it just now.
            if (!await IsDueAsync(cancellationToken))
                return true;

            var run = await reconciliation.RunAsync(redrive, cancellationToken);
            if (run.Failure is { } failure)
                Failed(log, failure);
            // A full sweep as well, but not that of a first start, which has nobody to fetch.
            else if (run.Missing + run.Redriven > 0 || (run.Full && run.Swept > 0))
                Found(log, run.Missing, run.Redriven, run.Swept, run.Listed);
            return run.Failure is null;
        }
        finally
        {
            await ReconciliationTable.ResignAsync(session);
        }
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "PULSE_STRIPE_API_KEY is not set: Stripe is not asked, and no customer is kept in step with it")]
    static partial void NoKey(ILogger logger);

    [LoggerMessage(Level = LogLevel.Warning, Message = "Reconciled: {Missing} events had not come, {Redriven} had not been handled, {Swept} customers are fetched again ({Listed} events listed)")]
    static partial void Found(ILogger logger, int missing, int redriven, int swept, int listed);

    [LoggerMessage(Level = LogLevel.Warning, Message = "Could not reconcile with Stripe ({Reason}); the next try is soon")]
    static partial void Failed(ILogger logger, string reason);
}
