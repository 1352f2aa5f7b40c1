using Npgsql;
using Pulse.Messaging.Inbox;
using Pulse.Messaging.Outbox;

namespace Pulse.Messaging;

/// <summary>
/// The places where tests break the library on purpose, to see that its promises are really looked at. This one breaks nothing; those
/// that do are in the tests, so no configuration of a real process can reach them.
/// </summary>
class Mutant
{
    public static readonly Mutant None = new();

    /// <summary>Whether messages are published to outlive their broker.</summary>
    public virtual bool Persistent => true;

    /// <summary>What the inbox is told of a message.</summary>
    public virtual InboxEntry Remember(InboxEntry entry) => entry;

    /// <summary>What a relay does with what it claimed, before it publishes any of it.</summary>
    public virtual Task ClaimedAsync(NpgsqlConnection connection, List<OutboxMessage> claimed) => Task.CompletedTask;
}
