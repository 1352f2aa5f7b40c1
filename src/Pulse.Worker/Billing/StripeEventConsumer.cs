using MassTransit;
using Pulse.Contracts.Billing;
using Pulse.Messaging;
using Pulse.Messaging.Outbox;

namespace Pulse.Worker.Billing;

/// <summary>Takes a stored event of Stripe's to the customer that it is about.</summary>
sealed class StripeEventConsumer(StripeEventIntake intake, OutboxPublisher publisher, SyncMeter meter) : IConsumer<StripeEventReceived>
{
    public async Task Consume(ConsumeContext<StripeEventReceived> context)
    {
        var transaction = context.Transaction();
        var outcome = await intake.HandleAsync(context.Message.EventId, transaction.OpenAsync, context.CancellationToken);

        if (outcome.Deferred is { } command)
            transaction.Defer(command);
        if (outcome.CustomerId is { } customerId)
            await context.Publish(new SyncStripeCustomer { CustomerId = customerId });
        if (outcome.Again is { } dueAt)
            transaction.Defer(publisher.Publish(context.Message, dueAt));

        transaction.OnCommitted(() => meter.Handled(outcome.Type, outcome.Outcome));
    }
}
