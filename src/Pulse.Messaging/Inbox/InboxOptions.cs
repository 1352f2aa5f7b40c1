using MassTransit.Middleware;

namespace Pulse.Messaging.Inbox;

/// <summary>The frozen id that an endpoint's inbox rows are written under. Never made from a type's name: renaming a class must not lose de-duplication.</summary>
sealed class InboxOptions : OutboxConsumeOptions
{
    public required string Consumer { get; init; }
}
