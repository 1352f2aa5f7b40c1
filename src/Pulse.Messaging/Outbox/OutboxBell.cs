using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Npgsql;

namespace Pulse.Messaging.Outbox;

/// <summary>
/// Tells the relays of all processes that the outbox has something, with NOTIFY: one at a time, however many rings come meanwhile.
/// </summary>
/// <remarks>
/// Not in the transactions themselves: Postgres holds one lock of the whole cluster while a transaction that notified commits.
/// </remarks>
public sealed partial class OutboxBell(NpgsqlDataSource dataSource, ILogger<OutboxBell> log) : BackgroundService
{
    /// <summary>The channel that relays listen on.</summary>
    public const string Channel = "pulse_outbox";

    readonly SemaphoreSlim _rings = new(0, 1);

    /// <summary>Wakes the relays soon. Costs nothing when a ring is already waiting.</summary>
    public void Ring()
    {
        // A ring too many is a spurious wake-up; the semaphore is full exactly when one is already waiting.
        if (_rings.CurrentCount == 0)
        {
            try
            {
                _rings.Release();
            }
            catch (SemaphoreFullException)
            {
            }
        }
    }

    const string Notify = "notify " + Channel;

    /// <inheritdoc />
    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        while (!stoppingToken.IsCancellationRequested)
        {
            await _rings.WaitAsync(stoppingToken);
            try
            {
                await using var command = dataSource.CreateCommand(Notify);
                await command.ExecuteNonQueryAsync(stoppingToken);
            }
            catch (Exception exception) when (exception is NpgsqlException or TimeoutException)
            {
                // The relays' poll finds the row within a second of Postgres' return.
                NotRung(log, exception.Message);
            }
        }
    }

    [LoggerMessage(Level = LogLevel.Debug, Message = "The outbox's NOTIFY did not go out ({Reason}); the relays' poll will do")]
    static partial void NotRung(ILogger logger, string reason);
}
