using MassTransit;

namespace Pulse.Worker.Provisioning;

/// <summary>A step of the saga that does something itself, whichever event it is part of.</summary>
abstract class ProvisioningStep : IStateMachineActivity<ProvisioningState>
{
    protected abstract Task DoAsync(BehaviorContext<ProvisioningState> context);

    public async Task Execute(BehaviorContext<ProvisioningState> context, IBehavior<ProvisioningState> next)
    {
        await DoAsync(context);
        await next.Execute(context);
    }

    public async Task Execute<T>(BehaviorContext<ProvisioningState, T> context, IBehavior<ProvisioningState, T> next)
        where T : class
    {
        await DoAsync(context);
        await next.Execute(context);
    }

    public Task Faulted<TException>(BehaviorExceptionContext<ProvisioningState, TException> context, IBehavior<ProvisioningState> next)
        where TException : Exception => next.Faulted(context);

    public Task Faulted<T, TException>(BehaviorExceptionContext<ProvisioningState, T, TException> context, IBehavior<ProvisioningState, T> next)
        where T : class
        where TException : Exception => next.Faulted(context);

    public void Probe(ProbeContext context) => context.CreateScope(GetType().Name);

    public void Accept(StateMachineVisitor visitor) => visitor.Visit(this);
}
