using MassTransit;
using Pulse.Messaging;

namespace Pulse.Worker.Provisioning;

/// <summary>Begins what the platform's hook is part of, or finds that the email is known and there is nothing to begin.</summary>
sealed class BeginOutside(ProvisioningOptions options, TimeProvider clock) : ProvisioningStep
{
    protected override async Task DoAsync(BehaviorContext<ProvisioningState> context)
    {
        var saga = context.Saga;
        var now = clock.GetUtcNow();
        var outcome = await TenantTable.BeginAsync(context.Transaction(), saga.CorrelationId, now, context.CancellationToken)
            ?? throw new SignupMissingException(saga.CorrelationId);

        if (outcome.Status == "provisioning")
        {
            // Said once: a request that is repeated gives the platform no more time.
            saga.HookDeadline ??= now + options.HookWithin;
            return;
        }

        saga.OrgId = outcome.OrgId;
        saga.EndedAt = now;
    }
}
