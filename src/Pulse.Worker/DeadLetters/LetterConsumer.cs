using System.Text.Json;
using MassTransit;
using Npgsql;
using Pulse.Contracts.DeadLetters;
using Pulse.Messaging;
using Pulse.Messaging.Rehearsing;
using Pulse.Worker.Operations;

namespace Pulse.Worker.DeadLetters;

/// <summary>What operators do with letters themselves: give up, take back, edit, look into.</summary>
/// <remarks>A repeated command finds its operation completed, and changes nothing.</remarks>
[Rehearsable]
sealed partial class LetterConsumer(DeadLetterOptions options, TimeProvider clock, ILogger<LetterConsumer> log)
    : IConsumer<DiscardDeadLetters>, IConsumer<RestoreDeadLetters>, IConsumer<EditDeadLetter>, IConsumer<RevealDeadLetter>
{
    public const string EndpointName = "dead-letters";

    static readonly Refusal Missing = new(404, "not_found", "There is no such dead letter.");

    static readonly string[] Discardable = [DeadLetterStatus.Parked, DeadLetterStatus.FailedAgain, DeadLetterStatus.Quarantined];
    static readonly string[] Restorable = [DeadLetterStatus.Discarded, DeadLetterStatus.Quarantined];

    public Task Consume(ConsumeContext<DiscardDeadLetters> context) => SelectAsync(
        context, context.Message.OperationId, "dead_letters_discarded", Discardable,
        (connection, ids, reason, actor, now) => SelectionTable.DiscardAsync(connection, ids, reason, actor, now, context.CancellationToken));

    public Task Consume(ConsumeContext<RestoreDeadLetters> context) => SelectAsync(
        context, context.Message.OperationId, "dead_letters_restored", Restorable,
        (connection, ids, _, _, now) => SelectionTable.RestoreAsync(connection, ids, now, context.CancellationToken));

    Task SelectAsync(
        ConsumeContext context, Guid operationId, string action, IReadOnlyList<string> wanted,
        Func<NpgsqlConnection, Guid[], string, string, DateTimeOffset, Task<List<Exclusion>>> change) =>
        DoAsync(context, operationId, async (connection, operation, now) =>
        {
            var request = JsonSerializer.Deserialize<SelectionRequest>(operation.Request)!;
            var (ids, capped) = await PlanTable.FindAsync(connection, request.Filter, request.Ids, wanted, context.CancellationToken);
            var judged = await change(connection, ids, request.Reason, operation.Actor, now);
            var done = judged.Find(part => part.Why.Length == 0);
            var result = new SelectionResult { Letters = done?.Letters ?? 0, Capped = capped, Excluded = judged.FindAll(part => part.Why.Length > 0) };
            return new Outcome(
                JsonSerializer.Serialize(result), action, new { letters = result.Letters, samples = done?.Samples ?? [], reason = request.Reason }, null, result.Letters);
        });

    public Task Consume(ConsumeContext<EditDeadLetter> context) => DoAsync(context, context.Message.OperationId, async (connection, operation, now) =>
    {
        if (!options.Edit)
            return new Outcome(new Refusal(409, "edit_disabled", "Editing is off. PULSE_REPLAY_EDIT=true of the worker allows it."));
        var id = context.Message.DeadLetterId;
        if (await EditTable.LockAsync(connection, id, context.CancellationToken) is not { } letter)
            return new Outcome(Missing);
        if (letter.InActiveReplay || !Discardable.Contains(letter.Status))
            return new Outcome(new Refusal(409, "not_replayable", letter.InActiveReplay ? "It is in a replay." : $"It is {letter.Status}."));

        var request = JsonSerializer.Deserialize<EditRequest>(operation.Request)!;
        var (copyId, messageId) = (Guid.CreateVersion7(now), Guid.CreateVersion7(now));
        if (!letter.IsEnvelope || letter.BodyCut || EditRules.Edit(letter.Body, request.Message, messageId) is not var (body, parts))
            return new Outcome(new Refusal(409, "not_editable", "It is no message whose content is known."));
        if (parts.Count == 0)
            return new Outcome(new Refusal(409, "unchanged", "Nothing is different."));
        if (EditedMessage.Mistake(letter.MessageType, request.Message, parts) is { } mistake)
            return new Outcome(new Refusal(400, "invalid_message", mistake));

        var paths = parts.Select(part => part.Path).ToList();
        await EditTable.ReplaceAsync(
            connection, id, copyId, messageId, body, LetterReading.OrgIdOf(request.Message), LetterReading.IdsIn(System.Text.Encoding.UTF8.GetString(body)),
            JsonSerializer.Serialize(parts, JsonSerializerOptions.Web), request.Reason, operation.Actor, now, context.CancellationToken);
        return new Outcome(
            JsonSerializer.Serialize(new EditResult { DeadLetterId = copyId, MessageId = messageId, EditedFrom = id, Changed = paths }), "dead_letter_edited",
            // Where, not what: the values are the payload's, and the audit log is for ever.
            new { dead_letter_id = copyId, edited_from = id, message_id = messageId, changed = paths, reason = request.Reason },
            LetterReading.OrgIdOf(request.Message), 1);
    });

    public Task Consume(ConsumeContext<RevealDeadLetter> context) => DoAsync(context, context.Message.OperationId, async (connection, operation, now) =>
    {
        var id = context.Message.DeadLetterId;
        if (await EditTable.WhoseAsync(connection, id, context.CancellationToken) is not var (queue, messageType, orgId))
            return new Outcome(Missing);

        return new Outcome(
            JsonSerializer.Serialize(new RevealResult { DeadLetterId = id, AuditedAt = now }), "dead_letter_revealed",
            new { dead_letter_id = id, queue, message_type = messageType }, orgId, 1);
    });

    /// <summary>What became of it: a result with its audit entry, or a refusal.</summary>
    sealed record Outcome(string? Result, string Action, object? Audit, Guid? OrgId, int Letters)
    {
        public Outcome(Refusal refusal)
            : this(null, "", null, null, 0) => Refusal = refusal;

        public Refusal? Refusal { get; }
    }

    async Task DoAsync(ConsumeContext context, Guid operationId, Func<NpgsqlConnection, Operation, DateTimeOffset, Task<Outcome>> change)
    {
        var now = ReplayText.Whole(clock.GetUtcNow());
        var transaction = context.Transaction();
        var operation = await OperationTable.TakeAsync(transaction, operationId, context.CancellationToken);
        if (operation.IsCompleted)
            return;

        var outcome = await change(await transaction.OpenAsync(context.CancellationToken), operation, now);
        if (outcome.Refusal is { } refusal)
        {
            OperationTable.Refuse(transaction, operationId, refusal, now);
            transaction.OnCommitted(() => Refused(log, operationId, refusal.Code));
            return;
        }

        OperationTable.Succeed(transaction, operationId, outcome.Result!, now);
        DeadLetterAudit.Append(transaction, now, operation.Actor, outcome.Action, outcome.OrgId, outcome.Audit!, operation.Cause);
        transaction.OnCommitted(() => Done(log, operationId, outcome.Action, outcome.Letters));
    }

    [LoggerMessage(Level = LogLevel.Information, Message = "Operation {OperationId}: {Action}, {Letters} letters")]
    static partial void Done(ILogger logger, Guid operationId, string action, int letters);

    [LoggerMessage(Level = LogLevel.Information, Message = "Operation {OperationId} on dead letters is refused: {Code}")]
    static partial void Refused(ILogger logger, Guid operationId, string code);
}
