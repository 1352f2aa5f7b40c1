using MassTransit;
using MassTransit.RabbitMqTransport;
using Npgsql;
using Pulse.Messaging;
using Pulse.Messaging.Inbox;
using Pulse.Messaging.Outbox;

namespace Pulse.EndToEnd.Messaging;

// Each is a mistake that others have made, and that goes unnoticed as long as nothing dies.

/// <summary>Confirmed is not kept: the broker confirms, and forgets with its next restart.</summary>
sealed class PublishesNonPersistent : Mutant
{
    public override bool Persistent => false;
}

/// <summary>Acknowledges before it commits. That is MassTransit's to do, so the library has no place to break for it.</summary>
sealed class AcknowledgesOnDelivery : IReceiveObserver
{
    public static void Deposits(IBusRegistrationConfigurator bus)
    {
        Node.Deposits(bus);
        bus.AddReceiveObserver(_ => new AcknowledgesOnDelivery());
    }

    public Task PreReceive(ReceiveContext context) =>
        context.GetPayload<ChannelContext>().BasicAck(context.GetPayload<RabbitMqBasicConsumeContext>().DeliveryTag, multiple: false, context.CancellationToken).AsTask();

    public Task PostReceive(ReceiveContext context) => Task.CompletedTask;

    public Task PostConsume<T>(ConsumeContext<T> context, TimeSpan duration, string consumerType)
        where T : class => Task.CompletedTask;

    public Task ConsumeFault<T>(ConsumeContext<T> context, TimeSpan duration, string consumerType, Exception exception)
        where T : class => Task.CompletedTask;

    public Task ReceiveFault(ReceiveContext context, Exception exception) => Task.CompletedTask;
}

/// <summary>Every delivery is the first one to it.</summary>
sealed class HasNoInbox : Mutant
{
    public override InboxEntry Remember(InboxEntry entry) => entry with { MessageId = Guid.NewGuid() };
}

/// <summary>Takes the order of ids for the order of commits.</summary>
sealed class RelaysAboveHighWaterMark : Mutant
{
    Guid _mark;

    public override Task ClaimedAsync(NpgsqlConnection connection, List<OutboxMessage> claimed)
    {
        claimed.RemoveAll(message => message.Id <= _mark);
        _mark = claimed.Select(message => message.Id).Append(_mark).Max();
        return Task.CompletedTask;
    }
}

/// <summary>What is deleted can't be published twice; nor once, if the relay dies in between.</summary>
sealed class DeletesBeforePublishing : Mutant
{
    public override async Task ClaimedAsync(NpgsqlConnection connection, List<OutboxMessage> claimed)
    {
        await using var batch = new NpgsqlBatch(connection);
        batch.BatchCommands.Add(OutboxTable.Delete([.. claimed.Select(message => message.Id)]));
        batch.BatchCommands.Add(new NpgsqlBatchCommand("commit"));
        await batch.ExecuteNonQueryAsync();
    }
}
