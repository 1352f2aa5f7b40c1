using System.Text.Json;
using MassTransit;
using MassTransit.Configuration;
using MassTransit.Context;
using MassTransit.Middleware;
using MassTransit.Middleware.Outbox;
using MassTransit.Scheduling;
using Npgsql;
using Pulse.Messaging.Outbox;

namespace Pulse.Messaging.Scheduling;

/// <summary>
/// Makes <c>Schedule()</c>, <c>Unschedule()</c> and delayed redelivery work on the outbox: a timer is a row that is not yet due.
/// </summary>
/// <remarks>
/// MassTransit asks for times of the system's clock and turns them into a delay again before they arrive at the outbox, which
/// adds the delay to Pulse's clock. So a moved clock moves timers as well.
/// </remarks>
sealed class OutboxScheduleProvider(ConsumeContext context, NpgsqlDataSource dataSource, TimeProvider clock, IReadOnlyList<Receipt> receipts)
    : IScheduleMessageProvider
{
    public async Task<ScheduledMessage<T>> ScheduleSend<T>(
        Uri destinationAddress, DateTime scheduledTime, T message, IPipe<SendContext<T>> pipe, CancellationToken cancellationToken)
        where T : class
    {
        if (OpenTransaction() is not null)
            return await new DelayedScheduleMessageProvider(context).ScheduleSend(destinationAddress, scheduledTime, message, pipe, cancellationToken);

        // Outside of a transaction, which is where redelivery is: the failed one was rolled back. The timer commits before the
        // message is acknowledged, so a crash between the two repeats the message, and the inbox absorbs one of them.
        var captured = new CapturedSends(clock);
        var timers = new DelayedScheduleMessageProvider(new OutboxSendEndpointProvider(captured, context));
        var scheduled = await timers.ScheduleSend(destinationAddress, scheduledTime, message, pipe, cancellationToken);
        await using var batch = dataSource.CreateBatch();
        batch.BatchCommands.Add(OutboxTable.Insert([.. captured.Messages.Select(WithReceiptHeaders)]));
        await batch.ExecuteNonQueryAsync(cancellationToken);
        return scheduled;
    }

    public async Task CancelScheduledSend(Guid tokenId, CancellationToken cancellationToken)
    {
        if (OpenTransaction() is { } transaction)
        {
            transaction.Cancel(tokenId);
            return;
        }

        await using var batch = dataSource.CreateBatch();
        batch.BatchCommands.Add(OutboxTable.Cancel([tokenId]));
        await batch.ExecuteNonQueryAsync(cancellationToken);
    }

    public Task CancelScheduledSend(Uri destinationAddress, Guid tokenId, CancellationToken cancellationToken) =>
        CancelScheduledSend(tokenId, cancellationToken);

    // Who waits to hear of the message waits for this copy of it now.
    OutboxMessage WithReceiptHeaders(OutboxMessage message)
    {
        Dictionary<string, object?>? headers = null;
        foreach (var receipt in receipts)
        {
            if (Receipt.HeaderOf(context.ReceiveContext, receipt.Header) is { } value)
                (headers ??= message.Headers is null ? [] : JsonSerializer.Deserialize<Dictionary<string, object?>>(message.Headers)!)[receipt.Header] = value;
        }

        return headers is null ? message : message with { Headers = JsonSerializer.Serialize(headers) };
    }

    MessageTransaction? OpenTransaction() =>
        context.TryGetPayload<MessageTransaction>(out var transaction) && transaction.IsOpen ? transaction : null;

    sealed class CapturedSends(TimeProvider clock) : OutboxSendContext
    {
        public List<OutboxMessage> Messages { get; } = [];

        public Task AddSend<T>(SendContext<T> context)
            where T : class
        {
            Messages.Add(SendCapture.ToOutbox(context, clock.GetUtcNow().UtcDateTime, TimeSpan.Zero));
            return Task.CompletedTask;
        }

        public object? GetService(Type serviceType) => null;
    }
}

/// <summary>Gives every consumed message a scheduler that writes to the outbox.</summary>
sealed class OutboxSchedulerSpecification(NpgsqlDataSource dataSource, TimeProvider clock, IReadOnlyList<Receipt> receipts)
    : IPipeSpecification<ConsumeContext>, IFilter<ConsumeContext>
{
    public void Apply(IPipeBuilder<ConsumeContext> builder) => builder.AddFilter(this);

    public IEnumerable<ValidationResult> Validate() => [];

    public Task Send(ConsumeContext context, IPipe<ConsumeContext> next)
    {
        context.GetOrAddPayload<MessageSchedulerContext>(() => new ConsumeMessageSchedulerContext(context, Scheduler));
        return next.Send(context);
    }

    public void Probe(ProbeContext context) => context.CreateFilterScope("outboxScheduler");

    MessageScheduler Scheduler(ConsumeContext context) =>
        new(new OutboxScheduleProvider(context, dataSource, clock, receipts), context.GetPayload<IBusTopology>());
}
