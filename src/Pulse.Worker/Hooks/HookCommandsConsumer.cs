using MassTransit;
using Pulse.Contracts.Hooks;
using Pulse.Contracts.Lifecycle;
using Pulse.Messaging;

namespace Pulse.Worker.Hooks;

/// <summary>Takes what others want of the platform, as calls. Without a hook it is done at once; repeated, what has ended is answered again.</summary>
sealed class HookCommandsConsumer(HookOptions options, TimeProvider clock) :
    IConsumer<CallProvisionHook>, IConsumer<UndoProvisionHook>, IConsumer<DeprovisionTenant>
{
    public const string EndpointName = "hooks";

    public Task Consume(ConsumeContext<CallProvisionHook> context) => OpenAsync(
        context, NewHookCall.ForProvision(context.Message.OrgId, context.Message.SignupId, context.Message.Deadline, clock.GetUtcNow()));

    public Task Consume(ConsumeContext<DeprovisionTenant> context) => OpenAsync(
        context, NewHookCall.ForPurge(context.Message.OrgId, context.Message.PurgeId, clock.GetUtcNow()));

    public Task Consume(ConsumeContext<UndoProvisionHook> context)
    {
        var (orgId, signupId, now) = (context.Message.OrgId, context.Message.SignupId, clock.GetUtcNow());
        var provision = NewHookCall.ForProvision(orgId, signupId, now, now);
        HookCallTable.Close(context.Transaction(), provision.CallId, orgId, signupId, now);
        return OpenAsync(context, NewHookCall.ForOrphan(orgId, signupId, now, now));
    }

    async Task OpenAsync(ConsumeContext context, NewHookCall call)
    {
        var known = options.Url is null ? "succeeded" : await HookCallTable.OpenAsync(context.Transaction(), call, context.CancellationToken);
        if (known is "succeeded" or "failed")
            await context.AnswerAsync(call.OrgId, call.Type == HookCall.Provision ? call.SignupId : null, call.PurgeId, known == "succeeded");
        else
            await context.Publish(new ContinueHookCall { CallId = call.CallId }, context.CancellationToken);
    }
}
