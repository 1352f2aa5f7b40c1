using Npgsql;
using Pulse.Contracts.Provisioning;
using Pulse.Messaging.Outbox;

namespace Pulse.Worker.Provisioning;

/// <summary>
/// Finds signups that are without an end for too long (their message was dead-lettered, or a step never answered) and tells their saga,
/// which drives them on or gives them up. Also forgets what the limits and idempotency keys no longer need.
/// </summary>
sealed partial class SignupSweep(
    NpgsqlDataSource dataSource, OutboxPublisher publisher, ProvisioningOptions options, TimeProvider clock, ILogger<SignupSweep> log)
    : BackgroundService
{
    const int Piece = 500;

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        using var timer = new PeriodicTimer(options.SweepEvery);
        while (await timer.WaitForNextTickAsync(stoppingToken))
        {
            try
            {
                while (await SweepAsync(stoppingToken) == Piece)
                {
                }

                await ForgetAsync(stoppingToken);
            }
            catch (Exception exception) when (exception is NpgsqlException or TimeoutException)
            {
                Failed(log, exception.Message);
            }
        }
    }

    async Task<int> SweepAsync(CancellationToken cancellationToken)
    {
        var now = clock.GetUtcNow();
        await using var connection = await dataSource.OpenConnectionAsync(cancellationToken);
        await using var transaction = await connection.BeginTransactionAsync(cancellationToken);
        var overdue = await SignupTable.ClaimOverdueAsync(
            connection, now.UtcDateTime, (now - options.OverdueAfter).UtcDateTime, Piece, cancellationToken);
        if (overdue.Count == 0)
            return 0;

        await using (var batch = new NpgsqlBatch(connection))
        {
            foreach (var signup in overdue)
            {
                batch.BatchCommands.Add(publisher.Publish(new ProvisioningOverdue
                {
                    SignupId = signup.SignupId,
                    AcceptedAt = new DateTimeOffset(signup.AcceptedAt, TimeSpan.Zero),
                    Attempt = signup.Attempt,
                }));
            }

            batch.BatchCommands.Add(new NpgsqlBatchCommand("commit"));
            await batch.ExecuteNonQueryAsync(CancellationToken.None);
        }

        publisher.Committed();
        DrivenOn(log, overdue.Count);
        return overdue.Count;
    }

    async Task ForgetAsync(CancellationToken cancellationToken)
    {
        var now = clock.GetUtcNow().UtcDateTime;
        await using var batch = dataSource.CreateBatch();
        foreach (var command in SignupTable.Forget(now - options.KeepIdempotencyKeys, now))
            batch.BatchCommands.Add(command);
        await batch.ExecuteNonQueryAsync(cancellationToken);
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "{Count} signups are overdue; their sagas were told")]
    static partial void DrivenOn(ILogger logger, int count);

    [LoggerMessage(Level = LogLevel.Warning, Message = "Overdue signups could not be looked for ({Reason}); the next look is soon")]
    static partial void Failed(ILogger logger, string reason);
}
