using MassTransit;
using Pulse.Messaging;

namespace Pulse.Worker.Provisioning;

/// <summary>Begins what the platform's hook is part of, or finds that the email is known and there is nothing to begin.</summary>
sealed class BeginOutside(ProvisioningOptions options, TimeProvider clock) : IStateMachineActivity<ProvisioningState>
{
    public async Task Execute(BehaviorContext<ProvisioningState> context, IBehavior<ProvisioningState> next)
    {
        await BeginAsync(context);
        await next.Execute(context);
    }

    public async Task Execute<T>(BehaviorContext<ProvisioningState, T> context, IBehavior<ProvisioningState, T> next)
        where T : class
    {
        await BeginAsync(context);
        await next.Execute(context);
    }

    async Task BeginAsync(BehaviorContext<ProvisioningState> context)
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

    public Task Faulted<TException>(BehaviorExceptionContext<ProvisioningState, TException> context, IBehavior<ProvisioningState> next)
        where TException : Exception => next.Faulted(context);

    public Task Faulted<T, TException>(BehaviorExceptionContext<ProvisioningState, T, TException> context, IBehavior<ProvisioningState, T> next)
        where T : class
        where TException : Exception => next.Faulted(context);

    public void Probe(ProbeContext context) => context.CreateScope("beginOutside");

    public void Accept(StateMachineVisitor visitor) => visitor.Visit(this);
}
