using System.Threading.Channels;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Npgsql;

namespace Pulse.Messaging.Outbox;

/// <summary>
/// Brings what was just committed to the broker straight from memory, and deletes the rows after the confirms: many rows
/// a statement when there is much to do, one at once when there is little.
/// </summary>
/// <remarks>
/// It is the fast way, not the safe one. What it leaves behind (the process died, the broker is away, too much at once) stays
/// in the outbox, where a relay finds it after <see cref="MessagingOptions.DirectPublishGrace"/>.
/// </remarks>
sealed partial class DirectPublisher(NpgsqlDataSource dataSource, BrokerConnection broker, MessagingOptions options, ILogger<DirectPublisher> log)
    : BackgroundService
{
    const int Lanes = 2;
    const int Batch = 256;

    // What does not fit in within the grace period is the relay's.
    readonly Channel<OutboxMessage> _committed = Channel.CreateBounded<OutboxMessage>(
        new BoundedChannelOptions(4096) { FullMode = BoundedChannelFullMode.Wait });

    /// <summary>Takes what was committed; timers, and what is too much, are left to the relay.</summary>
    public void Enqueue(IReadOnlyList<OutboxMessage> committed)
    {
        foreach (var message in committed)
        {
            if (message.RelayAt > message.DueAt)
                _committed.Writer.TryWrite(message);
        }
    }

    protected override Task ExecuteAsync(CancellationToken stoppingToken) =>
        Task.WhenAll(Enumerable.Range(0, Lanes).Select(_ => RunLaneAsync(stoppingToken)));

    // The bus has stopped before: what it committed last still goes out, so that nobody waits for a relay elsewhere.
    public override async Task StopAsync(CancellationToken cancellationToken)
    {
        _committed.Writer.TryComplete();
        if (ExecuteTask is { } lanes)
            await Task.WhenAny(lanes, Task.Delay(options.DirectPublishGrace, cancellationToken));
        await base.StopAsync(cancellationToken);
    }

    async Task RunLaneAsync(CancellationToken stoppingToken)
    {
        await using var publisher = new BrokerPublisher(broker, options.DirectPublishGrace, options.Mutant);
        var batch = new List<OutboxMessage>(Batch);
        while (await _committed.Reader.WaitToReadAsync(stoppingToken))
        {
            batch.Clear();
            while (batch.Count < Batch && _committed.Reader.TryRead(out var message))
                batch.Add(message);

            try
            {
                await PublishAsync(publisher, batch, stoppingToken);
            }
            catch (BrokerUnavailableException exception)
            {
                LeftToRelay(log, batch.Count, exception.Reason);
            }
            catch (NpgsqlException exception)
            {
                // Published, but not deleted: the relay publishes them again, and the inboxes absorb it.
                LeftToRelay(log, batch.Count, exception.Message);
            }
        }
    }

    async Task PublishAsync(BrokerPublisher publisher, List<OutboxMessage> batch, CancellationToken cancellationToken)
    {
        if (batch.Count == 0)
            return;

        await options.ReachedAsync("direct", "before publish");
        var failures = await publisher.PublishAsync(batch, cancellationToken);
        await options.ReachedAsync("direct", "before delete");
        var confirmed = batch.Select(message => message.Id).Except(failures.Select(failure => failure.Id)).ToList();
        if (confirmed.Count == 0)
            return;

        await using var delete = dataSource.CreateBatch();
        delete.BatchCommands.Add(OutboxTable.Delete(confirmed));
        await delete.ExecuteNonQueryAsync(cancellationToken);
        await options.ReachedAsync("direct", "after delete");
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "{Count} committed messages are left to the relay: {Reason}")]
    static partial void LeftToRelay(ILogger logger, int count, string reason);
}
