using MassTransit;
using Pulse.Contracts.Hooks;
using Pulse.Contracts.Provisioning;
using Pulse.Contracts.Signups;
using Pulse.Messaging.Sagas;

namespace Pulse.Worker.Provisioning;

/// <summary>From a signup to a tenant. Everything it writes is in the transaction of the message that moves it.</summary>
/// <remarks>
/// Where the platform has a hook, it is called first, and the tenant's rows are written when it has answered: they are never to be undone. Without
/// one, a signup goes from its first message to its end in one transaction.
/// </remarks>
sealed class ProvisioningSaga : MassTransitStateMachine<ProvisioningState>
{
    /// <summary>The queue, the inbox's consumer id and the saga's name in the database. Frozen.</summary>
    public const string EndpointName = "provisioning";

    public ProvisioningSaga(ProvisioningOptions options, TimeProvider clock)
    {
        InstanceState(saga => saga.CurrentState);
        Event(() => SignupRequested, correlation => correlation.CorrelateById(context => context.Message.SignupId));
        Event(() => ProvisioningOverdue, correlation => correlation.CorrelateById(context => context.Message.SignupId));
        // An answer to nobody is dead-lettered: something was made outside, and a person has to see it.
        Event(() => HookSucceeded, correlation => correlation.CorrelateById(context => context.Message.SignupId).OnMissingInstance(missing => missing.Fault()));
        Event(() => HookFailed, correlation => correlation.CorrelateById(context => context.Message.SignupId).OnMissingInstance(missing => missing.Fault()));

        Initially(
            When(SignupRequested)
                .Then(context => context.Saga.AcceptedAt = context.Message.AcceptedAt)
                .TransitionTo(Provisioning)
                .Provision(this, options),
            When(ProvisioningOverdue)
                .Then(context => context.Saga.AcceptedAt = context.Message.AcceptedAt)
                .TransitionTo(Provisioning)
                .DriveOnOrGiveUp(this, options, clock));

        // AwaitingVerification is where a signup will wait for its email to be verified; until then it goes straight on to Provisioning. Without
        // a hook Provisioning goes straight on to an end, all in one transaction. With one, it waits there for the answer.
        During([AwaitingVerification, Provisioning],
            When(SignupRequested).Provision(this, options),
            When(ProvisioningOverdue).DriveOnOrGiveUp(this, options, clock));

        // An answer that speaks of another organization is about an earlier round, and what that made is being taken back.
        During(Provisioning,
            When(HookSucceeded, context => context.Message.OrgId == context.Saga.FutureOrgId()).CreateTenant(this),
            When(HookFailed, context => context.Message.OrgId == context.Saga.FutureOrgId()).GiveUp(this),
            Ignore(HookSucceeded, context => context.Message.OrgId != context.Saga.FutureOrgId()),
            Ignore(HookFailed, context => context.Message.OrgId != context.Saga.FutureOrgId()));

        // A repeated request gets its answer again, under the message id of the first: whoever had that answer ignores this one.
        During(Provisioned,
            When(SignupRequested).PublishTenantProvisioned(),
            Ignore(ProvisioningOverdue), Ignore(HookSucceeded), Ignore(HookFailed));
        During(Existing,
            Ignore(SignupRequested),
            Ignore(ProvisioningOverdue), Ignore(HookSucceeded), Ignore(HookFailed));

        // Given up, but asked for again: an operator replays what was dead-lettered.
        During(Failed,
            When(SignupRequested).BeginAnew().TransitionTo(Provisioning).Provision(this, options),
            Ignore(ProvisioningOverdue), Ignore(HookSucceeded), Ignore(HookFailed));
    }

    public State AwaitingVerification { get; private set; } = null!;
    public State Provisioning { get; private set; } = null!;
    public State Provisioned { get; private set; } = null!;
    public State Existing { get; private set; } = null!;
    public State Failed { get; private set; } = null!;

    public Event<SignupRequested> SignupRequested { get; private set; } = null!;
    public Event<ProvisioningOverdue> ProvisioningOverdue { get; private set; } = null!;
    public Event<ProvisionHookSucceeded> HookSucceeded { get; private set; } = null!;
    public Event<ProvisionHookFailed> HookFailed { get; private set; } = null!;
}

/// <summary>The saga's steps, named.</summary>
static class ProvisioningSteps
{
    public static EventActivityBinder<ProvisioningState, T> Provision<T>(
        this EventActivityBinder<ProvisioningState, T> binder, ProvisioningSaga saga, ProvisioningOptions options)
        where T : class =>
        binder.IfElse(_ => options.HookWithin is null,
            alone => alone.CreateTenant(saga),
            hooked => hooked
                .Activity(step => step.OfInstanceType<BeginOutside>())
                .IfElse(context => context.Saga.EndedAt is null,
                    begun => begun.CallHook(),
                    ended => ended.End(saga)));

    public static EventActivityBinder<ProvisioningState, T> CreateTenant<T>(this EventActivityBinder<ProvisioningState, T> binder, ProvisioningSaga saga)
        where T : class =>
        binder.Activity(step => step.OfInstanceType<CreateTenant>()).End(saga);

    static EventActivityBinder<ProvisioningState, T> End<T>(this EventActivityBinder<ProvisioningState, T> binder, ProvisioningSaga saga)
        where T : class =>
        binder.IfElse(context => context.Saga.OrgId is not null,
            created => created.PublishTenantProvisioned().TransitionTo(saga.Provisioned),
            // Another signup with this email was faster: what the platform made for this one is nobody's.
            known => known.If(context => context.Saga.HookDeadline is not null, hooked => hooked.UndoHook()).TransitionTo(saga.Existing));

    public static EventActivityBinder<ProvisioningState, ProvisioningOverdue> DriveOnOrGiveUp(
        this EventActivityBinder<ProvisioningState, ProvisioningOverdue> binder, ProvisioningSaga saga, ProvisioningOptions options, TimeProvider clock) =>
        // While the platform has it, its time counts and not the sweep's attempts. What calls it gives up first; this is for when that is lost.
        binder.IfElse(context => context.Saga.HookDeadline is not null,
            waiting => waiting.IfElse(context => clock.GetUtcNow() < context.Saga.HookDeadline + options.OverdueAfter,
                asked => asked.CallHook(),
                given => given.UndoHook().GiveUp(saga)),
            alone => alone.IfElse(context => context.Message.Attempt <= options.Attempts,
                driven => driven.Provision(saga, options),
                given => given.GiveUp(saga)));

    public static EventActivityBinder<ProvisioningState, T> GiveUp<T>(this EventActivityBinder<ProvisioningState, T> binder, ProvisioningSaga saga)
        where T : class =>
        binder
            .Activity(step => step.OfInstanceType<GiveUp>())
            .Publish(context => new ProvisioningFailed { SignupId = context.Saga.CorrelationId, FailedAt = context.Saga.EndedAt!.Value })
            .TransitionTo(saga.Failed);

    public static EventActivityBinder<ProvisioningState, T> BeginAnew<T>(this EventActivityBinder<ProvisioningState, T> binder)
        where T : class =>
        binder.Then(context =>
        {
            context.Saga.EndedAt = null;
            if (context.Saga.HookDeadline is null)
                return;

            context.Saga.Round++;
            context.Saga.HookDeadline = null;
        });

    static EventActivityBinder<ProvisioningState, T> CallHook<T>(this EventActivityBinder<ProvisioningState, T> binder)
        where T : class =>
        binder.Publish(context => new CallProvisionHook
        {
            SignupId = context.Saga.CorrelationId,
            OrgId = context.Saga.FutureOrgId(),
            Deadline = context.Saga.HookDeadline!.Value,
        });

    static EventActivityBinder<ProvisioningState, T> UndoHook<T>(this EventActivityBinder<ProvisioningState, T> binder)
        where T : class =>
        binder.Publish(context => new UndoProvisionHook { SignupId = context.Saga.CorrelationId, OrgId = context.Saga.FutureOrgId() });

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
