using Npgsql;

namespace Pulse.Worker.Audit;

/// <summary>Signs how long the audit log is and what its head is, every so often, into a file outside the database.</summary>
sealed partial class CheckpointWriter(NpgsqlDataSource dataSource, AuditOptions options, TimeProvider clock, ILogger<CheckpointWriter> log) : BackgroundService
{
    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        if (options.Directory is not { } directory)
        {
            Off(log);
            return;
        }

        var files = new CheckpointFiles(directory);
        using var key = files.OpenSigningKey();
        var last = 0L;
        using var timer = new PeriodicTimer(options.CheckpointEvery);
        do
        {
            try
            {
                if (await AuditTable.HeadAsync(dataSource, stoppingToken) is { } head && head.Seq != last)
                {
                    files.Append(Checkpoint.Sign(key, head.Seq, head.Hash, clock.GetUtcNow()));
                    last = head.Seq;
                }
            }
            catch (Exception exception) when (exception is NpgsqlException or TimeoutException or IOException or UnauthorizedAccessException)
            {
                Failed(log, exception.Message);
            }
        }
        while (await timer.WaitForNextTickAsync(stoppingToken));
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "PULSE_AUDIT_DIR is not set: nothing outside the database tells when the end of the audit log is cut off")]
    static partial void Off(ILogger logger);

    [LoggerMessage(Level = LogLevel.Error, Message = "No checkpoint of the audit log could be written ({Reason}); the next try is soon")]
    static partial void Failed(ILogger logger, string reason);
}
