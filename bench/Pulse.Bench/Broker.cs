using System.Text.Json;
using MassTransit;
using MassTransit.Serialization;
using RabbitMQ.Client;

namespace Pulse.Bench;

/// <summary>RabbitMQ without MassTransit: queues to fill and to look at, and the bound of publishing.</summary>
sealed class Broker(IConnection connection, IChannel channel) : IAsyncDisposable
{
    public static readonly string ContentType = SystemTextJsonMessageSerializer.JsonContentType.ToString();

    public IConnection Connection => connection;

    public static async Task<Broker> ConnectAsync(Uri address)
    {
        var connection = await new ConnectionFactory { Uri = address, ClientProvidedName = "pulse bench" }.CreateConnectionAsync();
        // Each batch is waited for as a whole, which limits what is outstanding.
        var channel = await connection.CreateChannelAsync(new CreateChannelOptions(
            publisherConfirmationsEnabled: true, publisherConfirmationTrackingEnabled: true, outstandingPublisherConfirmationsRateLimiter: null));
        return new Broker(connection, channel);
    }

    /// <summary>A quorum queue that nobody consumes, on an exchange as MassTransit declares it for a message's type.</summary>
    public async Task BindAsync(string exchange, string queue)
    {
        await channel.ExchangeDeclareAsync(exchange, ExchangeType.Fanout, durable: true);
        await channel.QueueDeclareAsync(queue, durable: true, exclusive: false, autoDelete: false,
            arguments: new Dictionary<string, object?> { ["x-queue-type"] = "quorum" });
        await channel.QueueBindAsync(queue, exchange, routingKey: "");
    }

    public async Task<long> CountAsync(string queue) => (await channel.QueueDeclarePassiveAsync(queue)).MessageCount;

    public Task PurgeAsync(string queue) => channel.QueuePurgeAsync(queue);

    /// <summary>Persistent, mandatory, confirmed: batch after batch, each as a whole in flight.</summary>
    public async Task PublishAsync(string exchange, string routingKey, IReadOnlyList<Envelope> messages, int batch)
    {
        var confirms = new List<Task>(batch);
        foreach (var piece in messages.Chunk(batch))
        {
            confirms.Clear();
            foreach (var message in piece)
            {
                var properties = new BasicProperties { Persistent = true, MessageId = message.Id.ToString(), ContentType = ContentType };
                confirms.Add(channel.BasicPublishAsync(exchange, routingKey, mandatory: true, properties, message.Body).AsTask());
            }

            await Task.WhenAll(confirms);
        }
    }

    public async ValueTask DisposeAsync()
    {
        await channel.DisposeAsync();
        await connection.DisposeAsync();
    }
}

/// <summary>A message as it is on the wire.</summary>
readonly record struct Envelope(Guid Id, byte[] Body)
{
    public static Envelope Of<T>(T message)
        where T : class
    {
        var id = Guid.CreateVersion7();
        var envelope = new JsonMessageEnvelope
        {
            MessageId = id.ToString(),
            ConversationId = id.ToString(),
            MessageType = [MessageUrn.ForTypeString<T>()],
            Message = message,
            SentTime = DateTime.UtcNow,
        };
        return new Envelope(id, JsonSerializer.SerializeToUtf8Bytes<MessageEnvelope>(envelope, SystemTextJsonMessageSerializer.Options));
    }
}
