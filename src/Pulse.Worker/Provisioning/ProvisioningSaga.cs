using MassTransit;
using Pulse.Contracts.Provisioning;
using Pulse.Contracts.Signups;
using Pulse.Messaging.Sagas;

namespace Pulse.Worker.Provisioning;

/// <summary>From a signup to a tenant. Everything it writes is in the transaction of the message that moves it.</summary>
sealed class ProvisioningSaga : MassTransitStateMachine<ProvisioningState>
{
    /// <summary>The queue, the inbox's consumer id and the saga's name in the database. Frozen.</summary>
    public const string EndpointName = "provisioning";

    public ProvisioningSaga(ProvisioningOptions options)
    {
        InstanceState(saga => saga.CurrentState);
        Event(() => SignupRequested, correlation => correlation.CorrelateById(context => context.Message.SignupId));
        Event(() => ProvisioningOverdue, correlation => correlation.CorrelateById(context => context.Message.SignupId));

        Initially(
            When(SignupRequested)
                .Then(context => context.Saga.AcceptedAt = context.Message.AcceptedAt)
                .TransitionTo(Provisioning)
                .Provision(this),
            When(ProvisioningOverdue)
                .Then(context => context.Saga.AcceptedAt = context.Message.AcceptedAt)
                .TransitionTo(Provisioning)
                .DriveOnOrGiveUp(this, options));

        // Where a signup will wait for its email to be verified; until then it goes straight on to Provisioning, and
        // Provisioning straight on to an end, all in one transaction.
        During([AwaitingVerification, Provisioning],
            When(SignupRequested).Provision(this),
            When(ProvisioningOverdue).DriveOnOrGiveUp(this, options));

        // A repeated request gets its answer again, under the message id of the first: whoever had that answer ignores this one.
        During(Provisioned,
            When(SignupRequested).PublishTenantProvisioned(),
            Ignore(ProvisioningOverdue));
        During(Existing,
            Ignore(SignupRequested),
            Ignore(ProvisioningOverdue));

        // Given up, but asked for again: an operator replays what was dead-lettered.
        During(Failed,
            When(SignupRequested).TransitionTo(Provisioning).Provision(this),
            Ignore(ProvisioningOverdue));
    }

    public State AwaitingVerification { get; private set; } = null!;
    public State Provisioning { get; private set; } = null!;
    public State Provisioned { get; private set; } = null!;
    public State Existing { get; private set; } = null!;
    public State Failed { get; private set; } = null!;

    public Event<SignupRequested> SignupRequested { get; private set; } = null!;
    public Event<ProvisioningOverdue> ProvisioningOverdue { get; private set; } = null!;
}

/// <summary>The saga's steps, named.</summary>
static class ProvisioningSteps
{
    public static EventActivityBinder<ProvisioningState, T> Provision<T>(this EventActivityBinder<ProvisioningState, T> binder, ProvisioningSaga saga)
        where T : class =>
        binder
            .Activity(step => step.OfInstanceType<CreateTenant>())
            .IfElse(context => context.Saga.OrgId is not null,
                created => created.PublishTenantProvisioned().TransitionTo(saga.Provisioned),
                known => known.TransitionTo(saga.Existing));

    public static EventActivityBinder<ProvisioningState, ProvisioningOverdue> DriveOnOrGiveUp(
        this EventActivityBinder<ProvisioningState, ProvisioningOverdue> binder, ProvisioningSaga saga, ProvisioningOptions options) =>
        binder.IfElse(context => context.Message.Attempt <= options.Attempts,
            driven => driven.Provision(saga),
            given => given
                .Activity(step => step.OfInstanceType<GiveUp>())
                .Publish(context => new ProvisioningFailed { SignupId = context.Saga.CorrelationId, FailedAt = context.Saga.EndedAt!.Value })
                .TransitionTo(saga.Failed));

    public static EventActivityBinder<ProvisioningState, T> PublishTenantProvisioned<T>(this EventActivityBinder<ProvisioningState, T> binder)
        where T : class =>
        binder.Publish(
            context => new TenantProvisioned
            {
                SignupId = context.Saga.CorrelationId,
                OrgId = context.Saga.OrgId!.Value,
                AcceptedAt = context.Saga.AcceptedAt,
                ProvisionedAt = context.Saga.EndedAt!.Value,
            },
            publish => publish.MessageId = StepId.Of(publish.Message.SignupId, "tenant-provisioned"));
}
