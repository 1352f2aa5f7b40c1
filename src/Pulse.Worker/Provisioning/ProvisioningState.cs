using MassTransit;
using Pulse.Messaging.Rehearsing;

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
}
