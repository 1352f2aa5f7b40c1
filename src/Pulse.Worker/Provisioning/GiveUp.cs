using MassTransit;
using Pulse.Messaging;

namespace Pulse.Worker.Provisioning;

/// <summary>Ends a signup as failed. What it asked for is kept, so that a replay can still provision it.</summary>
sealed class GiveUp(TimeProvider clock) : ProvisioningStep
{
    protected override Task DoAsync(BehaviorContext<ProvisioningState> context)
    {
        var now = clock.GetUtcNow();
        context.Saga.EndedAt = now;
        context.Transaction().Defer(SignupTable.Fail(context.Saga.CorrelationId, now.UtcDateTime));
        return Task.CompletedTask;
    }
}
