using MassTransit;
using Pulse.Messaging.Rehearsing;
using Pulse.Messaging.Sagas;

namespace Pulse.Worker.Provisioning;

/// <summary>What the saga remembers of one signup. The correlation id is the signup's id.</summary>
[Rehearsable]
sealed class ProvisioningState : SagaStateMachineInstance
{
    public Guid CorrelationId { get; set; }
    public string CurrentState { get; set; } = "Initial";
    public DateTimeOffset AcceptedAt { get; set; }

    /// <summary>The tenant it became; null as long as it is none, and when the email was known.</summary>
    public Guid? OrgId { get; set; }
    public DateTimeOffset? EndedAt { get; set; }

    /// <summary>How often it was tried anew after a failure that the platform's hook had a part in.</summary>
    public int Round { get; set; }

    /// <summary>When the platform is given up, of the hook that is waited for; null: none was called in this round.</summary>
    public DateTimeOffset? HookDeadline { get; set; }

    /// <summary>
    /// The organization that it is to be: from the saga, so that a second try makes the same tenant. Another in each round: what is taken back
    /// of the one before can't touch it, however late.
    /// </summary>
    public Guid FutureOrgId() => Round == 0 ? StepId.Of(CorrelationId, "organization") : StepId.Of(CorrelationId, $"organization-{Round}");
}
