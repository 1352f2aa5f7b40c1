using MassTransit;
using Pulse.Contracts.Lifecycle;
using Pulse.Messaging;

namespace Pulse.Worker.Lifecycle;

/// <summary>Takes timers, confirmations and the steps of purges to <see cref="Reaper"/> and <see cref="Purge"/>.</summary>
sealed class PurgeConsumer(Reaper reaper, Purge purge) :
    IConsumer<RetentionEnded>, IConsumer<ConfirmPurges>, IConsumer<ExportOrganization>, IConsumer<TenantDeprovisioned>, IConsumer<DeleteOrganizationRows>,
    IConsumer<CertifyPurge>
{
    public const string EndpointName = "purges";

    public Task Consume(ConsumeContext<RetentionEnded> context) => reaper.BeginAsync(context.Transaction(), context.Message, context.CancellationToken);

    public Task Consume(ConsumeContext<ConfirmPurges> context) => reaper.ConfirmAsync(context.Transaction(), context.Message, context.CancellationToken);

    public Task Consume(ConsumeContext<ExportOrganization> context) => purge.DoAsync(context.Transaction(), context.Message, context.CancellationToken);

    public Task Consume(ConsumeContext<TenantDeprovisioned> context) => purge.DoAsync(context.Transaction(), context.Message, context.CancellationToken);

    public Task Consume(ConsumeContext<DeleteOrganizationRows> context) => purge.DoAsync(context.Transaction(), context.Message, context.CancellationToken);

    public Task Consume(ConsumeContext<CertifyPurge> context) => purge.DoAsync(context.Transaction(), context.Message, context.CancellationToken);
}
