using MassTransit;
using Pulse.Contracts.Lifecycle;
using Pulse.Messaging;
using Pulse.Messaging.Rehearsing;

namespace Pulse.Worker.Lifecycle;

/// <summary>Takes operators' commands on organizations to <see cref="LifecycleCommands"/>.</summary>
[Rehearsable]
sealed class LifecycleConsumer(LifecycleCommands commands) :
    IConsumer<SuspendOrganization>, IConsumer<UnsuspendOrganization>, IConsumer<SoftDeleteOrganization>, IConsumer<RestoreOrganization>,
    IConsumer<PlaceLegalHold>, IConsumer<ReleaseLegalHold>
{
    public const string EndpointName = "lifecycle";

    public Task Consume(ConsumeContext<SuspendOrganization> context) => commands.DoAsync(context.Transaction(), context.Message, context.CancellationToken);

    public Task Consume(ConsumeContext<UnsuspendOrganization> context) => commands.DoAsync(context.Transaction(), context.Message, context.CancellationToken);

    public Task Consume(ConsumeContext<SoftDeleteOrganization> context) => commands.DoAsync(context.Transaction(), context.Message, context.CancellationToken);

    public Task Consume(ConsumeContext<RestoreOrganization> context) => commands.DoAsync(context.Transaction(), context.Message, context.CancellationToken);

    public Task Consume(ConsumeContext<PlaceLegalHold> context) => commands.DoAsync(context.Transaction(), context.Message, context.CancellationToken);

    public Task Consume(ConsumeContext<ReleaseLegalHold> context) => commands.DoAsync(context.Transaction(), context.Message, context.CancellationToken);
}
