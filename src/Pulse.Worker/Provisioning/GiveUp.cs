using MassTransit;
using Pulse.Messaging;

namespace Pulse.Worker.Provisioning;

/// <summary>Ends a signup as failed. What it asked for is kept, so that a replay can still provision it.</summary>
sealed class GiveUp(TimeProvider clock) : IStateMachineActivity<ProvisioningState>
{
    public async Task Execute(BehaviorContext<ProvisioningState> context, IBehavior<ProvisioningState> next)
    {
        End(context);
        await next.Execute(context);
    }

    public async Task Execute<T>(BehaviorContext<ProvisioningState, T> context, IBehavior<ProvisioningState, T> next)
        where T : class
    {
        End(context);
        await next.Execute(context);
    }

    void End(BehaviorContext<ProvisioningState> context)
    {
        var now = clock.GetUtcNow();
        context.Saga.EndedAt = now;
        context.Transaction().Defer(SignupTable.Fail(context.Saga.CorrelationId, now.UtcDateTime));
    }

    public Task Faulted<TException>(BehaviorExceptionContext<ProvisioningState, TException> context, IBehavior<ProvisioningState> next)
        where TException : Exception => next.Faulted(context);

    public Task Faulted<T, TException>(BehaviorExceptionContext<ProvisioningState, T, TException> context, IBehavior<ProvisioningState, T> next)
        where T : class
        where TException : Exception => next.Faulted(context);

    public void Probe(ProbeContext context) => context.CreateScope("giveUp");

    public void Accept(StateMachineVisitor visitor) => visitor.Visit(this);
}
