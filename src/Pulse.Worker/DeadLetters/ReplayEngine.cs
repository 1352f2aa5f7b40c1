using Npgsql;
using Pulse.Contracts.DeadLetters;
using Pulse.Messaging;
using Pulse.Messaging.Outbox;

namespace Pulse.Worker.DeadLetters;

/// <summary>
/// Drives replays on: one transaction for each step of each, decided by <see cref="ReplayRules"/> under the replay's lock. Any number of workers may
/// do so; one that dies leaves nothing half done.
/// </summary>
sealed partial class ReplayEngine(
    NpgsqlDataSource dataSource, OutboxBell bell, ReplayMeter meter, MessagingOptions messaging, TimeProvider clock, ILogger<ReplayEngine> log)
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
            var (sent, moves) = (0, false);
            try
            {
                foreach (var (replayId, moving) in await ReplayTable.OpenAsync(dataSource, stoppingToken))
                {
                    moves |= moving;
                    sent += await StepAsync(replayId, stoppingToken);
                }
            }
            catch (Exception exception) when (exception is NpgsqlException or TimeoutException)
            {
                Failed(log, exception is PostgresException refused ? refused.SqlState : exception.Message);
            }

            // A replay of a hundred thousand letters takes its time to look at: no more than a fifth of a processor's. Half of one where an operator
            // set no rate, so that there is a batch to send at each look.
            var pause = sent > 0 ? clock.GetElapsedTime(started) * (sent < ReplayRules.Batch ? 4 : 1) : moves ? Idle / 4 : Idle;
            await _wake.WaitAsync(pause < Busy ? Busy : pause > Idle ? Idle : pause, stoppingToken);
        }
    }

    /// <summary>One step of one replay.</summary>
    /// <returns>How much it did: the letters that it sent, or one step. There may be more of it.</returns>
    internal async Task<int> StepAsync(Guid replayId, CancellationToken cancellationToken)
    {
        await using var connection = await dataSource.OpenConnectionAsync(cancellationToken);
        await using var transaction = await connection.BeginTransactionAsync(cancellationToken);
        if (!await ReplayTable.TryLockAsync(connection, replayId, cancellationToken))
            return 0;

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

        var what = step is ReplayStep.Send ? "send" : step is ReplayStep.Go ? "go" : step is ReplayStep.End ? "end" : "look";
        await messaging.ReachedAsync("replay", $"before {what}");
        await transaction.CommitAsync(CancellationToken.None);
        await messaging.ReachedAsync("replay", $"after {what}");
        if (sent > 0)
            bell.Ring();
        if (step is ReplayStep.End(var ended, var why))
        {
            meter.Ended(ended);
            Ended(log, replayId, ended, why ?? "", replay.Resolved, replay.FailedAgain);
        }

        return step is ReplayStep.Go ? 1 : sent;
    }

    [LoggerMessage(Level = LogLevel.Information, Message = "Replay {ReplayId} is {Status} {Reason}: {Resolved} resolved, {FailedAgain} failed again")]
    static partial void Ended(ILogger logger, Guid replayId, string status, string reason, long resolved, long failedAgain);

    [LoggerMessage(Level = LogLevel.Warning, Message = "Replays could not be driven on ({Reason}); the next try is soon")]
    static partial void Failed(ILogger logger, string reason);
}
