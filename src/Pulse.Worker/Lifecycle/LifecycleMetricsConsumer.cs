using MassTransit;
using Pulse.Contracts.Lifecycle;
using Pulse.Messaging;
using Pulse.Messaging.Rehearsing;

namespace Pulse.Worker.Lifecycle;

/// <summary>Counts the changes of status, and measures accepted → applied.</summary>
[Rehearsable]
sealed class LifecycleMetricsConsumer(LifecycleMeter meter) : IConsumer<OrganizationStatusChanged>
{
    public const string EndpointName = "lifecycle-metrics";

    public Task Consume(ConsumeContext<OrganizationStatusChanged> context)
    {
        var change = context.Message;
        context.Transaction().OnCommitted(() => meter.Moved(change.FromStatus, change.ToStatus, change.ChangedAt - change.AcceptedAt));
        return Task.CompletedTask;
    }
}
