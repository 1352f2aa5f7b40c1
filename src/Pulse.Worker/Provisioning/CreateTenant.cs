using MassTransit;
using Pulse.Messaging;
using Pulse.Messaging.Sagas;

namespace Pulse.Worker.Provisioning;

/// <summary>Writes the tenant's rows, or finds that the email is known and writes none.</summary>
sealed class CreateTenant(TimeProvider clock) : ProvisioningStep
{
    protected override async Task DoAsync(BehaviorContext<ProvisioningState> context)
    {
        var saga = context.Saga;
        var now = clock.GetUtcNow();
        var outcome = await TenantTable.CreateAsync(
            await context.Transaction().OpenAsync(context.CancellationToken),
            saga.CorrelationId,
            // From the saga, so that a second try makes the same tenant.
            orgId: saga.FutureOrgId(),
            ownerId: StepId.Of(saga.CorrelationId, "owner"),
            now,
            ProvisioningRules.TrialEndsAt(now),
            context.CancellationToken);

        if (outcome is null)
            throw new SignupMissingException(saga.CorrelationId);

        saga.OrgId = outcome.OrgId;
        saga.EndedAt = now;
    }
}

/// <summary>A message speaks of a signup that is not stored. No retry brings it back.</summary>
sealed class SignupMissingException(Guid signupId) : UnprocessableMessageException($"There is no signup {signupId}.");
