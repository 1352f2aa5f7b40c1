using MassTransit;
using Npgsql;

namespace Pulse.Messaging;

/// <summary>A message that carries a header was consumed.</summary>
/// <param name="Header">The header's value.</param>
/// <param name="MessageId">The message.</param>
/// <param name="Endpoint">Whose consumer is done with it.</param>
/// <param name="ConsumedAt">UTC.</param>
public readonly record struct ConsumedMessage(string Header, Guid MessageId, string Endpoint, DateTime ConsumedAt);

/// <summary>
/// How a sender learns that its message was consumed: a statement of the message's own transaction, so that it holds exactly when the message's
/// effects do. Register it as a singleton.
/// </summary>
/// <remarks>
/// A repeat, which the inbox absorbs, runs it as well, in a transaction of its own: the consumer was done with it before. So it runs once or
/// more, and has to be the same each time. Delayed redeliveries of the message carry the header on. Messages without it cost one look-up.
/// </remarks>
/// <param name="Header">The transport header.</param>
/// <param name="Statement">Null for a value that means nothing. It must not fail for the message's sake: its failure rolls the message back.</param>
public sealed record Receipt(string Header, Func<ConsumedMessage, NpgsqlBatchCommand?> Statement)
{
    internal static string? HeaderOf(ReceiveContext context, string header) =>
        context.TransportHeaders.TryGetHeader(header, out var value) ? value?.ToString() : null;
}
