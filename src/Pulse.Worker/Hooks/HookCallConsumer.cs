using MassTransit;
using Pulse.Contracts.Hooks;
using Pulse.Contracts.Lifecycle;
using Pulse.Messaging;
using Pulse.Messaging.Outbox;

namespace Pulse.Worker.Hooks;

/// <summary>Moves a call on: makes it when it is due, ends it when the platform has told or its time is up.</summary>
sealed class HookCallConsumer(HookCaller caller, OutboxPublisher publisher, HookMeter meter) : IConsumer<ContinueHookCall>, IConsumer<HookCallCompleted>
{
    public Task Consume(ConsumeContext<ContinueHookCall> context) => ContinueAsync(context, context.Message.CallId);

    public Task Consume(ConsumeContext<HookCallCompleted> context) => ContinueAsync(context, context.Message.CallId);

    async Task ContinueAsync(ConsumeContext context, Guid callId)
    {
        var transaction = context.Transaction();
        var end = await caller.RunAsync(callId, transaction.OpenAsync, context.CancellationToken);
        if (end.Call is not { } call)
            return;

        if (end.Timer is { } dueAt)
            transaction.Defer(publisher.Publish(new ContinueHookCall { CallId = callId }, dueAt));
        if (end.Next is { } next)
            transaction.Defer(publisher.Publish(new ContinueHookCall { CallId = next.CallId }, next.NextAt));
        if (end.Timer is not null || end.Next is not null)
            transaction.OnCommitted(publisher.Committed);
        if (end.Step is HookStep.Succeed or HookStep.Fail)
            await context.AnswerAsync(call, end.Step is HookStep.Succeed);

        transaction.OnCommitted(() => meter.Called(call.Type, end.Outcomes));
    }
}

/// <summary>Who waits for a call's end is told.</summary>
static class HookAnswers
{
    public static Task AnswerAsync(this ConsumeContext context, HookCall call, bool succeeded) =>
        AnswerAsync(context, call.OrgId, call.IsProvision ? call.SignupId : null, call.PurgeId, succeeded);

    /// <param name="context">Of the message that ended it, or asks for its end.</param>
    /// <param name="orgId">The organization.</param>
    /// <param name="signupId">Whose provision it was; null: taking back what a signup left behind, which nobody waits for.</param>
    /// <param name="purgeId">Whose deprovision it was. One that failed goes on under another key, and its end is the other's.</param>
    /// <param name="succeeded">How it ended.</param>
    public static Task AnswerAsync(this ConsumeContext context, Guid orgId, Guid? signupId, Guid? purgeId, bool succeeded) => (signupId, purgeId, succeeded) switch
    {
        ({ } signup, _, true) => context.Publish(new ProvisionHookSucceeded { SignupId = signup, OrgId = orgId }),
        ({ } signup, _, false) => context.Publish(new ProvisionHookFailed { SignupId = signup, OrgId = orgId }),
        (null, { } purge, true) => context.Publish(new TenantDeprovisioned { PurgeId = purge, OrgId = orgId }),
        _ => Task.CompletedTask,
    };
}
