using System.Globalization;
using System.Text.Json;
using MassTransit;
using MassTransit.RabbitMqTransport;
using MassTransit.Serialization;

namespace Pulse.Messaging.Outbox;

/// <summary>Turns what MassTransit was about to put on the wire into an outbox row.</summary>
static class SendCapture
{
    public static OutboxMessage ToOutbox<T>(SendContext<T> context, DateTime now, TimeSpan grace)
        where T : class
    {
        var rabbit = context as RabbitMqSendContext ?? context.GetPayload<RabbitMqSendContext>();
        var messageId = context.MessageId ?? throw new MessageException(typeof(T), "A message without an id can't be sent through the outbox.");
        var delay = context.Delay is { } wait && wait > TimeSpan.Zero ? wait : (TimeSpan?)null;
        var dueAt = now + (delay ?? TimeSpan.Zero);

        return new OutboxMessage
        {
            // Not the message id: that may be the sender's own choice, such as a saga's, and so the same twice. (A message that MassTransit
            // redelivers gets a new one; the first is in MT-OriginalMessageId, and the inbox goes by that.)
            Id = Guid.CreateVersion7(new DateTimeOffset(now)),
            MessageId = messageId,
            // MassTransit addresses a direct reply with a name that stands for the default exchange.
            Exchange = rabbit.Exchange == RabbitMqExchangeNames.ReplyTo ? "" : rabbit.Exchange,
            RoutingKey = rabbit.RoutingKey ?? "",
            ContentType = (context.ContentType ?? SystemTextJsonMessageSerializer.JsonContentType).ToString(),
            Headers = Headers(context),
            Body = context.Serializer.GetMessageBody(context).GetBytes(),
            DueAt = dueAt,
            RelayAt = delay is null ? now + grace : dueAt,
            ExpiresAt = context.TimeToLive is { } life ? dueAt + life : null,
            Token = delay is null ? null : context.ScheduledMessageId,
        };
    }

    static string? Headers(SendContext context)
    {
        Dictionary<string, object>? headers = null;
        foreach (var (name, value) in context.Headers.GetAll())
        {
            object? text = value switch
            {
                null => null,
                string or bool or int or long or double => value,
                Guid id => id.ToString("D"),
                DateTime time => time.ToUniversalTime().ToString("O", CultureInfo.InvariantCulture),
                DateTimeOffset time => time.UtcDateTime.ToString("O", CultureInfo.InvariantCulture),
                IFormattable formattable => formattable.ToString(null, CultureInfo.InvariantCulture),
                _ => value.ToString(),
            };
            if (text is not null)
                (headers ??= [])[name] = text;
        }

        return headers is null ? null : JsonSerializer.Serialize(headers);
    }
}
