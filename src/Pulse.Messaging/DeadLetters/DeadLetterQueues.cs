using RabbitMQ.Client;
using RabbitMQ.Client.Exceptions;

namespace Pulse.Messaging.DeadLetters;

/// <summary>The queues of what an endpoint could not handle, as MassTransit declares them when it first needs one.</summary>
static class DeadLetterQueues
{
    public static string ErrorOf(string endpoint) => $"{endpoint}_error";

    public static string SkippedOf(string endpoint) => $"{endpoint}_skipped";

    /// <summary>
    /// Their arguments. MassTransit would copy the endpoint's: its delivery limit, and its way out, which for this queue is a circle that the
    /// broker breaks by dropping the message. A collector that is killed a hundred times must not lose one.
    /// </summary>
    /// <remarks>No limit at all can't be said to every version of the broker in the same words.</remarks>
    public static readonly IReadOnlyDictionary<string, object?> Arguments = new Dictionary<string, object?>
    {
        ["x-queue-type"] = "quorum",
        ["x-delivery-limit"] = 1_000_000_000,
        ["x-overflow"] = "reject-publish",
    };

    /// <summary>Declares a queue and its exchange, before the first message that needs it.</summary>
    /// <returns>False when there is one with other arguments, of an older build: it does, too.</returns>
    public static async Task<bool> DeclareAsync(IConnection connection, string queue, CancellationToken cancellationToken)
    {
        // A refusal closes the channel.
        await using var channel = await connection.CreateChannelAsync(cancellationToken: cancellationToken);
        try
        {
            await channel.QueueDeclareAsync(
                queue, durable: true, exclusive: false, autoDelete: false, Arguments.ToDictionary(argument => argument.Key, argument => argument.Value),
                cancellationToken: cancellationToken);
            await channel.ExchangeDeclareAsync(queue, ExchangeType.Fanout, durable: true, autoDelete: false, cancellationToken: cancellationToken);
            await channel.QueueBindAsync(queue, queue, "", cancellationToken: cancellationToken);
            return true;
        }
        catch (OperationInterruptedException exception) when (exception.ShutdownReason?.ReplyCode == Constants.PreconditionFailed)
        {
            return false;
        }
    }
}
