using System.Threading.Channels;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Pulse.Messaging.Outbox;
using RabbitMQ.Client;
using RabbitMQ.Client.Events;

namespace Pulse.Messaging.DeadLetters;

/// <summary>
/// Empties the <c>_error</c> and <c>_skipped</c> queues of all endpoints into <see cref="StoreDeadLetters"/>: all that wait in one call, and an
/// acknowledgement only behind it. Any number of processes may do so.
/// </summary>
/// <remarks>
/// Without MassTransit: what lies there may be no message of its. Nothing is ever requeued, because brokers count that and drop what
/// came too often: what can't be stored yet is held.
/// </remarks>
sealed partial class DeadLetterCollector(
    BusReady busReady, EndpointNames endpoints, StoreDeadLetters store, MessagingOptions options, ILogger<DeadLetterCollector> log)
    : BackgroundService
{
    /// <summary>Letters of one queue that the broker hands over ahead: while one batch is stored, the next one comes.</summary>
    const ushort Prefetch = 2 * Batch;

    const int Batch = 256;

    /// <summary>Bytes of one batch, so that letters of many megabytes come few at a time.</summary>
    const int BatchBytes = 16 << 20;

    static readonly TimeSpan Pause = TimeSpan.FromSeconds(1);

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        await busReady.Task.WaitAsync(stoppingToken);
        await using var broker = new BrokerConnection([.. options.Nodes], "pulse dead letters");
        var healthy = true;
        while (true)
        {
            try
            {
                await CollectAsync(await broker.GetAsync(stoppingToken), () => healthy = true, stoppingToken);
            }
            catch (Exception exception) when (!stoppingToken.IsCancellationRequested)
            {
                // Whatever the broker or the client does: what is not acknowledged comes again. Once an outage, not once a second of it.
                if (healthy)
                    Waiting(log, exception.Message.Split('\n', 2)[0]);
                healthy = false;
            }

            await Task.Delay(Pause, stoppingToken);
        }
    }

    /// <summary>Collects until the channel is closed.</summary>
    async Task CollectAsync(IConnection connection, Action collecting, CancellationToken stoppingToken)
    {
        using var ended = CancellationTokenSource.CreateLinkedTokenSource(stoppingToken);
        await using var channel = await connection.CreateChannelAsync(cancellationToken: stoppingToken);
        channel.ChannelShutdownAsync += (_, _) => EndAsync(ended);
        await channel.BasicQosAsync(0, Prefetch, global: false, stoppingToken);

        // Bounded by what the broker hands over.
        var waiting = Channel.CreateUnbounded<(ulong Tag, DeadLetterDelivery Letter)>(new UnboundedChannelOptions { SingleReader = true });
        foreach (var endpoint in endpoints.All)
        {
            await ConsumeAsync(connection, channel, DeadLetterQueues.ErrorOf(endpoint), endpoint, skipped: false, waiting.Writer, ended);
            await ConsumeAsync(connection, channel, DeadLetterQueues.SkippedOf(endpoint), endpoint, skipped: true, waiting.Writer, ended);
        }

        collecting();
        var batch = new List<DeadLetterDelivery>(Batch);
        while (await waiting.Reader.WaitToReadAsync(ended.Token))
        {
            batch.Clear();
            ulong last = 0;
            for (var bytes = 0; batch.Count < Batch && bytes < BatchBytes && waiting.Reader.TryRead(out var next); bytes += next.Letter.Body.Length)
            {
                batch.Add(next.Letter);
                last = next.Tag;
            }

            await options.ReachedAsync("dead letters", "before store");
            await StoreAsync(batch, ended.Token);
            await options.ReachedAsync("dead letters", "before acknowledge");
            // They came in the order of their tags, and everything before is stored as well.
            await channel.BasicAckAsync(last, multiple: true, ended.Token);
            await options.ReachedAsync("dead letters", "after acknowledge");
        }
    }

    async Task ConsumeAsync(
        IConnection connection, IChannel channel, string queue, string endpoint, bool skipped,
        ChannelWriter<(ulong, DeadLetterDelivery)> waiting, CancellationTokenSource ended)
    {
        if (!await DeadLetterQueues.DeclareAsync(connection, queue, ended.Token))
            DeclaredOtherwise(log, queue);

        var consumer = new AsyncEventingBasicConsumer(channel);
        consumer.ReceivedAsync += (_, delivery) =>
        {
            // The client takes the body's memory back when this returns.
            waiting.TryWrite((delivery.DeliveryTag, Read(delivery, endpoint, skipped)));
            return Task.CompletedTask;
        };
        // The queue was deleted: everything is declared anew.
        consumer.UnregisteredAsync += (_, _) => EndAsync(ended);
        await channel.BasicConsumeAsync(queue, autoAck: false, consumer, ended.Token);
    }

    static DeadLetterDelivery Read(BasicDeliverEventArgs delivery, string endpoint, bool skipped) => new()
    {
        Endpoint = endpoint,
        IsSkipped = skipped,
        MessageId = delivery.BasicProperties.MessageId,
        ContentType = delivery.BasicProperties.ContentType,
        Headers = delivery.BasicProperties.Headers is { } headers ? new Dictionary<string, object?>(headers) : new Dictionary<string, object?>(),
        Body = delivery.Body.ToArray(),
    };

    /// <summary>Holds a batch for as long as it can't be stored, or until the broker takes it back.</summary>
    async Task StoreAsync(List<DeadLetterDelivery> batch, CancellationToken cancellationToken)
    {
        for (var failures = 0; ; failures++)
        {
            try
            {
                await store(batch, cancellationToken);
                return;
            }
            catch (Exception exception) when (!cancellationToken.IsCancellationRequested)
            {
                // Whatever it is, the letters are safe where they are. The type only: a message may quote what it failed on.
                if (failures % 60 == 0)
                    NotStored(log, batch.Count, exception.GetType().Name);
                await Task.Delay(Pause, cancellationToken);
            }
        }
    }

    static async Task EndAsync(CancellationTokenSource ended)
    {
        try
        {
            await ended.CancelAsync();
        }
        catch (ObjectDisposedException)
        {
            // Over already.
        }
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "Dead letters stay in their queues: {Reason}")]
    static partial void Waiting(ILogger logger, string reason);

    [LoggerMessage(Level = LogLevel.Error, Message = "{Count} dead letters can't be stored ({Reason}); they are held and tried again")]
    static partial void NotStored(ILogger logger, int count, string reason);

    [LoggerMessage(Level = LogLevel.Warning, Message = "Queue {Queue} has other arguments than this build gives it: delete it when it is empty, or MassTransit can't move a message there")]
    static partial void DeclaredOtherwise(ILogger logger, string queue);
}
