using MassTransit;
using Pulse.Contracts.Provisioning;
using Pulse.Messaging;
using Pulse.Messaging.Rehearsing;

namespace Pulse.Worker.Metrics;

/// <summary>Counts how provisioning ends. In the inbox like any other consumer, so that a redelivery is not counted twice.</summary>
[Rehearsable]
sealed class ProvisioningMetricsConsumer(WorkerMeter meter) : IConsumer<TenantProvisioned>, IConsumer<ProvisioningFailed>
{
    public Task Consume(ConsumeContext<TenantProvisioned> context)
    {
        var took = context.Message.ProvisionedAt - context.Message.AcceptedAt;
        context.Transaction().OnCommitted(() => meter.Provisioned(took));
        return Task.CompletedTask;
    }

    public Task Consume(ConsumeContext<ProvisioningFailed> context)
    {
        context.Transaction().OnCommitted(meter.ProvisioningFailed);
        return Task.CompletedTask;
    }
}
