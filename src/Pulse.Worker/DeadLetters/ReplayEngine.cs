using Npgsql;
using Pulse.Contracts.DeadLetters;
using Pulse.Messaging.Outbox;

namespace Pulse.Worker.DeadLetters;

/// <summary>
/// Drives replays on: one transaction for each step of each, decided by <see cref="ReplayRules"/> under the replay's lock. Any number of workers may
/// do so; one that dies leaves nothing half done.
/// </summary>
sealed partial class ReplayEngine(NpgsqlDataSource dataSource, OutboxBell bell, ReplayMeter meter, TimeProvider clock, ILogger<ReplayEngine> log)
    : BackgroundService
{
    static readonly TimeSpan Idle = TimeSpan.FromSeconds(1);
    static readonly TimeSpan Busy = TimeSpan.FromMilliseconds(50);

    readonly SemaphoreSlim _wake = new(0, 1);

    /// <summary>Something has been started.</summary>
    public void Wake()
    {
        if (_wake.CurrentCount == 0)
            _wake.Release();
    }

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        while (true)
        {
            var started = clock.GetTimestamp();
            var (sent, moves) = (false, false);
            try
            {
                foreach (var (replayId, moving) in await ReplayTable.OpenAsync(dataSource, stoppingToken))
                {
                    moves |= moving;
                    sent |= await StepAsync(replayId, stoppingToken);
                }
            }
            catch (Exception exception) when (exception is NpgsqlException or TimeoutException)
            {
                Failed(log, exception is PostgresException refused ? refused.SqlState : exception.Message);
            }

            // A replay of a hundred thousand letters takes its time to look at: no more than a fifth of a processor's.
            var pause = sent ? clock.GetElapsedTime(started) * 4 : moves ? Idle / 4 : Idle;
            await _wake.WaitAsync(pause < Busy ? Busy : pause > Idle ? Idle : pause, stoppingToken);
        }
    }

    /// <summary>One step of one replay.</summary>
    /// <returns>Whether it sent something, and so may have more to send.</returns>
    internal async Task<bool> StepAsync(Guid replayId, CancellationToken cancellationToken)
    {
        await using var connection = await dataSource.OpenConnectionAsync(cancellationToken);
        await using var transaction = await connection.BeginTransactionAsync(cancellationToken);
        if (!await ReplayTable.TryLockAsync(connection, replayId, cancellationToken))
            return false;

        var now = clock.GetUtcNow();
        await ReplayTable.SentAsync(connection, replayId, now, cancellationToken);
        await ReplayTable.UnansweredAsync(connection, replayId, now - ReplayRules.AnswerWithin, now, cancellationToken);
        var replay = await ReplayTable.ReadAsync(connection, replayId, cancellationToken);
        // What a relay had in its hands when the replay was paused or ended.
        if (replay.Queued > 0 && replay.Status is not (ReplayStatus.Canary or ReplayStatus.Running))
            await ReplayTable.TakeBackAsync(connection, replayId, release: replay.Status != ReplayStatus.Paused, now, cancellationToken);

        var sent = 0;
        var step = ReplayRules.Next(replay, now);
        switch (step)
        {
            case ReplayStep.Send(var letters, var dueAt):
                var interval = ReplayRules.Interval(replay.RatePerSecond);
                sent = await ReplayTable.SendAsync(connection, replayId, letters, dueAt, interval, now, cancellationToken);
                await ReplayTable.DueAsync(connection, replayId, dueAt + sent * interval, now, cancellationToken);
                break;

            case ReplayStep.Go:
                await ReplayTable.MoveAsync(connection, replayId, ReplayStatus.Running, null, now, cancellationToken);
                break;

            case ReplayStep.End(var status, var reason):
                await ReplayTable.TakeBackAsync(connection, replayId, release: true, now, cancellationToken);
                await ReplayTable.MoveAsync(connection, replayId, status, reason, now, cancellationToken);
                if (status != ReplayStatus.Expired)
                    await DeadLetterAudit.AppendAsync(
                        connection, now, "replay", $"replay_{status}", null,
                        new { replay_id = replayId, resolved = replay.Resolved, failed_again = replay.FailedAgain, unanswered = replay.Unanswered, stop_reason = reason },
                        $"replay:{replayId}", cancellationToken);
                break;
        }

        await transaction.CommitAsync(CancellationToken.None);
        if (sent > 0)
            bell.Ring();
        if (step is ReplayStep.End(var ended, var why))
        {
            meter.Ended(ended);
            Ended(log, replayId, ended, why ?? "", replay.Resolved, replay.FailedAgain);
        }

        return sent > 0 || step is ReplayStep.Go;
    }

    [LoggerMessage(Level = LogLevel.Information, Message = "Replay {ReplayId} is {Status} {Reason}: {Resolved} resolved, {FailedAgain} failed again")]
    static partial void Ended(ILogger logger, Guid replayId, string status, string reason, long resolved, long failedAgain);

    [LoggerMessage(Level = LogLevel.Warning, Message = "Replays could not be driven on ({Reason}); the next try is soon")]
    static partial void Failed(ILogger logger, string reason);
}
