using MassTransit;
using Pulse.Contracts.Billing;
using Pulse.Messaging;
using Pulse.Messaging.Rehearsing;

namespace Pulse.Worker.Billing;

/// <summary>
/// Every change of what a tenant may do, as a log line, wherever it came from. Also what makes the event routable: nothing else in
/// the house consumes it, and the platform's services bind queues of their own or none.
/// </summary>
[Rehearsable]
sealed partial class EntitlementsChangedConsumer(ILogger<EntitlementsChangedConsumer> log) : IConsumer<EntitlementsChanged>
{
    public const string EndpointName = "entitlements-changed";

    public Task Consume(ConsumeContext<EntitlementsChanged> context)
    {
        var change = context.Message;
        context.Transaction().OnCommitted(() => Changed(log, change.OrgId, change.Version, change.SubscriptionState));
        return Task.CompletedTask;
    }

    [LoggerMessage(Level = LogLevel.Information, Message = "The entitlements of {OrgId} are at version {Version}: {State}")]
    static partial void Changed(ILogger logger, Guid orgId, long version, string state);
}

/// <summary>The event of a change.</summary>
static class EntitlementsEvents
{
    public static EntitlementsChanged Changed(Entitlements entitlements, DateTimeOffset now) => new()
    {
        OrgId = entitlements.OrgId,
        Version = entitlements.Version,
        SubscriptionState = entitlements.Current.State,
        ChangedAt = now,
    };
}
