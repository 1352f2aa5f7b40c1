using MassTransit;
using Pulse.Contracts.Lifecycle;
using Pulse.Messaging;

namespace Pulse.Worker.Billing;

/// <summary>Takes the word of a deletion, and of a restore, to <see cref="DeletionSync"/>.</summary>
sealed class DeletionConsumer(DeletionSync sync) : IConsumer<CancelSubscriptions>, IConsumer<ResumeSubscriptions>
{
    public Task Consume(ConsumeContext<CancelSubscriptions> context) => sync.DoAsync(context.Transaction(), context.Message, context.CancellationToken);

    public Task Consume(ConsumeContext<ResumeSubscriptions> context) => sync.DoAsync(context.Transaction(), context.Message, context.CancellationToken);
}
