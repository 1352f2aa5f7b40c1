using System.Text;
using System.Text.Json.Nodes;
using System.Threading.Channels;
using RabbitMQ.Client;
using RabbitMQ.Client.Events;
using RabbitMQ.Client.Exceptions;

namespace Pulse.Demo;

/// <summary>A queue of its own, beside the worker's, that gets a copy of every signup's message.</summary>
sealed class BrokerTap(IConnection connection, IChannel channel, ChannelReader<byte[]> messages) : IAsyncDisposable
{
    public const string Exchange = "Pulse.Contracts.Signups:SignupRequested";
    public const string MessageType = "urn:message:Pulse.Contracts.Signups:SignupRequested";

    public static async Task<BrokerTap> Open(Uri address)
    {
        var factory = new ConnectionFactory { Uri = address, ClientProvidedName = "pulse demo", AutomaticRecoveryEnabled = false };
        var connection = await factory.CreateConnectionAsync();
        var channel = await Poll.Until($"exchange {Exchange}", TimeSpan.FromSeconds(15), () => Bound(connection));

        var messages = Channel.CreateUnbounded<byte[]>();
        var consumer = new AsyncEventingBasicConsumer(channel);
        consumer.ReceivedAsync += async (_, delivery) => await messages.Writer.WriteAsync(delivery.Body.ToArray());
        await channel.BasicConsumeAsync(channel.CurrentQueue!, autoAck: true, consumer);
        return new BrokerTap(connection, channel, messages.Reader);
    }

    // A missing exchange costs the channel: each look takes a new one.
    static async Task<IChannel?> Bound(IConnection connection)
    {
        var channel = await connection.CreateChannelAsync();
        try
        {
            var queue = await channel.QueueDeclareAsync();
            await channel.QueueBindAsync(queue.QueueName, Exchange, routingKey: "");
            return channel;
        }
        catch (OperationInterruptedException)
        {
            await channel.DisposeAsync();
            return null;
        }
    }

    /// <summary>The message of one signup: its envelope, and the bytes as they were on the wire.</summary>
    public async Task<(JsonObject Envelope, string Bytes)> MessageOf(Guid signupId, TimeSpan deadline)
    {
        using var timeout = new CancellationTokenSource(deadline);
        try
        {
            while (true)
            {
                var bytes = Encoding.UTF8.GetString(await messages.ReadAsync(timeout.Token));
                if (JsonNode.Parse(bytes) is JsonObject envelope && Guid.TryParse((string?)envelope["message"]?["signupId"], out var id) && id == signupId)
                    return (envelope, bytes);
            }
        }
        catch (OperationCanceledException)
        {
            throw new DoesNotHoldException($"no message of signup {signupId} on {Exchange} within {deadline.TotalSeconds:0} s");
        }
    }

    public async ValueTask DisposeAsync()
    {
        await channel.DisposeAsync();
        await connection.DisposeAsync();
    }
}
