using MassTransit;
using Pulse.Contracts.Billing;
using Pulse.Messaging;
using Pulse.Messaging.Outbox;

namespace Pulse.Worker.Billing;

/// <summary>Fetches a customer from Stripe, unless that has been done since it was marked.</summary>
sealed class SyncConsumer(CustomerSync sync, OutboxPublisher publisher, SyncMeter meter, TimeProvider clock) : IConsumer<SyncStripeCustomer>
{
    public async Task Consume(ConsumeContext<SyncStripeCustomer> context)
    {
        var transaction = context.Transaction();
        var outcome = await sync.RunAsync(context.Message.CustomerId, transaction.OpenAsync, context.CancellationToken);

        if (outcome.Changed is { } changed)
            await context.Publish(changed);
        if (outcome.Timer is { } dueAt)
        {
            transaction.Defer(publisher.Publish(context.Message, dueAt));
            transaction.OnCommitted(publisher.Committed);
        }

        transaction.OnCommitted(() => meter.Synced(outcome, clock.GetUtcNow()));
    }
}
