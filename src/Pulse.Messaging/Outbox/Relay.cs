using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Npgsql;

namespace Pulse.Messaging.Outbox;

/// <summary>
/// Brings due rows of the outbox to the broker: from processes without a broker connection, timers, and whatever a process
/// left behind. Any number of relays work side by side.
/// </summary>
sealed partial class Relay(
    NpgsqlDataSource dataSource, BrokerConnection broker, BusReady busReady, MessagingOptions options, TimeProvider clock, ILogger<Relay> log)
    : BackgroundService
{
    readonly SemaphoreSlim _wake = new(0, 1);

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        // Not before this process' queues are declared and bound, or the first messages of a new broker would route nowhere.
        await busReady.Task.WaitAsync(stoppingToken);
        await Task.WhenAll(ListenAsync(stoppingToken), RelayAsync(stoppingToken));
    }

    async Task RelayAsync(CancellationToken stoppingToken)
    {
        await using var publisher = new BrokerPublisher(broker, options.PublishTimeout, options.Mutant);
        var healthy = true;
        while (true)
        {
            try
            {
                while (await RelayBatchAsync(publisher, stoppingToken) == options.RelayBatch)
                {
                }

                if (!healthy)
                    Recovered(log);
                healthy = true;
                await _wake.WaitAsync(await IdleAsync(stoppingToken), stoppingToken);
            }
            catch (Exception exception) when (exception is BrokerUnavailableException or NpgsqlException or TimeoutException)
            {
                // Once a failure, not once a second of it.
                if (healthy)
                    Waiting(log, exception is BrokerUnavailableException broken ? broken.Reason : exception.Message);
                healthy = false;
                await Task.Delay(options.RelayPoll, stoppingToken);
            }
        }
    }

    /// <summary>Publishes and deletes up to one batch in one transaction.</summary>
    /// <returns>How many rows it took.</returns>
    internal async Task<int> RelayBatchAsync(BrokerPublisher publisher, CancellationToken cancellationToken)
    {
        await using var connection = await dataSource.OpenConnectionAsync(cancellationToken);
        await using var transaction = await connection.BeginTransactionAsync(cancellationToken);
        var now = clock.GetUtcNow().UtcDateTime;
        var claimed = await OutboxTable.ClaimAsync(connection, now, options.RelayBatch, cancellationToken);
        await options.Mutant.ClaimedAsync(connection, claimed);
        if (claimed.Count == 0)
            return 0;

        await options.ReachedAsync("relay", "before publish");
        var live = claimed.FindAll(message => !(message.ExpiresAt <= now));
        var failures = live.Count == 0 ? [] : await publisher.PublishAsync(live, cancellationToken);
        var done = claimed.Select(message => message.Id).Except(failures.Select(failure => failure.Id)).ToList();

        await options.ReachedAsync("relay", "before delete");
        await using var batch = new NpgsqlBatch(connection);
        if (done.Count > 0)
            batch.BatchCommands.Add(OutboxTable.Delete(done));
        if (failures.Count > 0)
            batch.BatchCommands.Add(OutboxTable.Postpone(failures, now));
        batch.BatchCommands.Add(new NpgsqlBatchCommand("commit"));
        await batch.ExecuteNonQueryAsync(CancellationToken.None);
        await options.ReachedAsync("relay", "after delete");

        foreach (var failure in failures)
        {
            var message = claimed.Find(message => message.Id == failure.Id)!;
            Unroutable(log, message.MessageId, message.Exchange, failure.Error, message.Attempts + 1);
        }

        return claimed.Count;
    }

    // Until the next timer is due, but no longer than the poll: another process may schedule an earlier one, and clocks may be moved.
    async Task<TimeSpan> IdleAsync(CancellationToken cancellationToken)
    {
        if (await OutboxTable.NextAsync(dataSource, cancellationToken) is not { } next)
            return options.RelayPoll;

        var wait = next - clock.GetUtcNow().UtcDateTime;
        return wait <= TimeSpan.Zero ? TimeSpan.Zero : wait < options.RelayPoll ? wait : options.RelayPoll;
    }

    // On a connection of its own, not the pool's: it waits for as long as the process lives.
    async Task ListenAsync(CancellationToken stoppingToken)
    {
        while (true)
        {
            try
            {
                await using var connection = await dataSource.OpenConnectionAsync(stoppingToken);
                connection.Notification += (_, _) => Wake();
                await using (var listen = new NpgsqlCommand("listen " + OutboxBell.Channel, connection))
                    await listen.ExecuteNonQueryAsync(stoppingToken);

                while (true)
                    await connection.WaitAsync(stoppingToken);
            }
            catch (Exception exception) when (exception is NpgsqlException or TimeoutException)
            {
                // The poll stands in meanwhile.
                await Task.Delay(options.RelayPoll, stoppingToken);
            }
        }
    }

    void Wake()
    {
        if (_wake.CurrentCount == 0)
            _wake.Release();
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "The relay waits: {Reason}")]
    static partial void Waiting(ILogger logger, string reason);

    [LoggerMessage(Level = LogLevel.Information, Message = "The relay goes on")]
    static partial void Recovered(ILogger logger);

    [LoggerMessage(Level = LogLevel.Error, Message = "Message {MessageId} to exchange {Exchange} was not taken ({Reason}); attempt {Attempt}, it is tried again")]
    static partial void Unroutable(ILogger logger, Guid messageId, string exchange, string reason, int attempt);
}
