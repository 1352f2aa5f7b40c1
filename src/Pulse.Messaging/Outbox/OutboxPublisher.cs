using System.Text.Json;
using MassTransit;
using MassTransit.RabbitMqTransport;
using MassTransit.Serialization;
using Npgsql;

namespace Pulse.Messaging.Outbox;

/// <summary>
/// Publishes from a process that has no broker connection: the message is a row of the caller's own transaction, and any
/// worker's relay brings it to the broker.
/// </summary>
/// <remarks>
/// Add <see cref="Publish{T}"/> to the batch that writes what the message speaks of, commit, then call <see cref="Committed"/>.
/// </remarks>
public sealed class OutboxPublisher(TimeProvider clock, OutboxBell bell)
{
    static OutboxPublisher() => Envelope.Configure();

    static readonly RabbitMqMessageNameFormatter Names = new();

    /// <summary>The statement that stores one event for every queue bound to its type.</summary>
    /// <param name="message">The event.</param>
    /// <param name="dueAt">Not before this time; null for at once.</param>
    /// <param name="token">What a timer can be cancelled by, each its own; null for what is not to be.</param>
    public NpgsqlBatchCommand Publish<T>(T message, DateTimeOffset? dueAt = null, Guid? token = null)
        where T : class =>
        OutboxTable.Insert([Row(message, dueAt) with { Token = token }]);

    /// <summary>The statement that takes back a timer. One that was relayed already, or never was, changes nothing.</summary>
    /// <param name="token">What it was published with.</param>
    public static NpgsqlBatchCommand Cancel(Guid token) => OutboxTable.Cancel([token]);

    /// <summary>The statement that stores several events, but not those that a query leaves out when it runs, within the same transaction.</summary>
    /// <param name="messages">The events, each under a key that the query knows it by.</param>
    /// <param name="exceptSql">A constant. Selects one boolean for the key <c>given.key</c>, a text: true leaves that event out.</param>
    public NpgsqlBatchCommand PublishExcept<T>(IReadOnlyList<(string Key, T Message)> messages, string exceptSql)
        where T : class =>
        OutboxTable.InsertExcept([.. messages.Select(keyed => Row(keyed.Message, null))], [.. messages.Select(keyed => keyed.Key)], exceptSql);

    OutboxMessage Row<T>(T message, DateTimeOffset? dueAt)
        where T : class
    {
        CrashPoint.Reached("outbox", "before commit");
        var now = clock.GetUtcNow().UtcDateTime;
        var messageId = Guid.CreateVersion7(clock.GetUtcNow());
        var envelope = new JsonMessageEnvelope
        {
            MessageId = messageId.ToString(),
            ConversationId = messageId.ToString(),
            MessageType = [MessageUrn.ForTypeString<T>()],
            Message = message,
            SentTime = now,
        };

        return new OutboxMessage
        {
            Id = messageId,
            MessageId = messageId,
            Exchange = Names.GetMessageName(typeof(T)),
            ContentType = SystemTextJsonMessageSerializer.JsonContentType.ToString(),
            Body = JsonSerializer.SerializeToUtf8Bytes<MessageEnvelope>(envelope, SystemTextJsonMessageSerializer.Options),
            DueAt = dueAt?.UtcDateTime ?? now,
            RelayAt = dueAt?.UtcDateTime ?? DateTime.MinValue,
        };
    }

    /// <summary>Wakes the relays. Call it after the commit; leaving it out costs a second of delay, never a message.</summary>
    public void Committed()
    {
        CrashPoint.Reached("outbox", "after commit");
        bell.Ring();
    }
}
