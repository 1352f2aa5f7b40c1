using System.Text.Json;
using MassTransit;
using Npgsql;
using Pulse.Contracts.DeadLetters;
using Pulse.Messaging;
using Pulse.Messaging.Rehearsing;
using Pulse.Worker.Operations;

namespace Pulse.Worker.DeadLetters;

/// <summary>What operators do with plans and replays. Each is one transaction: the replay's row, its audit entry and the operation's outcome.</summary>
/// <remarks>A repeated command finds its operation completed, and changes nothing.</remarks>
[Rehearsable]
sealed partial class ReplayConsumer(ReplayEngine engine, ReplayMeter meter, TimeProvider clock, ILogger<ReplayConsumer> log)
    : IConsumer<PlanReplay>, IConsumer<StartReplay>, IConsumer<PauseReplay>, IConsumer<ResumeReplay>, IConsumer<CancelReplay>
{
    public const string EndpointName = "replays";

    static readonly Refusal Missing = new(404, "not_found", "There is no such replay.");

    public Task Consume(ConsumeContext<PlanReplay> context) => DoAsync(context, context.Message.OperationId, async (connection, operation, now) =>
    {
        var request = JsonSerializer.Deserialize<PlanRequest>(operation.Request)!;
        var (ids, capped) = await PlanTable.FindAsync(
            connection, request.Filter, request.Ids, [DeadLetterStatus.Parked, DeadLetterStatus.FailedAgain], context.CancellationToken);
        // The replay's id is the operation's.
        var state = await PlanTable.PlanAsync(connection, operation.Id, request, ids, capped, operation.Actor, now, context.CancellationToken);
        if (state.Letters == 0)
        {
            await PlanTable.DropAsync(connection, operation.Id, context.CancellationToken);
            return (new Refusal(409, "nothing_to_replay", ReplayText.NothingToReplay(state.Plan)), null);
        }

        return (null, state);
    }, "replay_planned", state => new { replay_id = state.ReplayId, letters = state.Letters, excluded = state.Plan.Excluded.Sum(part => part.Letters), capped = state.Plan.Capped });

    public Task Consume(ConsumeContext<StartReplay> context) => DoAsync(context, context.Message.OperationId, async (connection, operation, now) =>
    {
        if (await PlanTable.LockAsync(connection, context.Message.ReplayId, context.CancellationToken) is not var (state, _, quarantined))
            return (Missing, null);
        if (state.Status != ReplayStatus.Planned)
            return (new Refusal(409, state.Status == ReplayStatus.Expired ? "replay_expired" : "replay_not_planned", $"It is {state.Status}: plan a new one."), null);
        if (now >= state.ExpiresAt)
            return (new Refusal(409, "replay_expired", "A plan is good for an hour. Plan a new one."), null);

        var request = JsonSerializer.Deserialize<StartRequest>(operation.Request)!;
        var taken = await PlanTable.StartAsync(connection, state.ReplayId, request, quarantined, operation.Actor, now, context.CancellationToken);
        if (taken == 0)
            return (new Refusal(409, "nothing_to_replay", "None of its letters is free any more: another replay has taken them, or they were resolved or discarded."), null);

        context.Transaction().OnCommitted(engine.Wake);
        return (null, state with { Status = Math.Min(request.Canary, taken) > 0 ? ReplayStatus.Canary : ReplayStatus.Running, Letters = taken });
    }, "replay_started", state => new { replay_id = state.ReplayId, letters = state.Letters });

    public Task Consume(ConsumeContext<PauseReplay> context) => MoveAsync(
        context, context.Message.OperationId, context.Message.ReplayId, "replay_paused",
        (state, _) => state.Status is ReplayStatus.Canary or ReplayStatus.Running
            ? (ReplayStatus.Paused, null)
            : (null, new Refusal(409, "replay_not_running", $"It is {state.Status}.")));

    public Task Consume(ConsumeContext<ResumeReplay> context) => MoveAsync(
        context, context.Message.OperationId, context.Message.ReplayId, "replay_resumed",
        (state, pausedIn) => state.Status is ReplayStatus.Paused
            ? (pausedIn ?? ReplayStatus.Running, null)
            : (null, new Refusal(409, "replay_not_paused", $"It is {state.Status}.")));

    public Task Consume(ConsumeContext<CancelReplay> context) => MoveAsync(
        context, context.Message.OperationId, context.Message.ReplayId, "replay_cancelled",
        (state, _) => state.Status is ReplayStatus.Planned or ReplayStatus.Canary or ReplayStatus.Running or ReplayStatus.Paused
            ? (ReplayStatus.Cancelled, null)
            : (null, new Refusal(409, "replay_ended", $"It is {state.Status}.")));

    Task MoveAsync(
        ConsumeContext context, Guid operationId, Guid replayId, string action, Func<ReplayState, string?, (string? Status, Refusal? Refusal)> decide) =>
        DoAsync(context, operationId, async (connection, _, now) =>
        {
            if (await PlanTable.LockAsync(connection, replayId, context.CancellationToken) is not var (state, pausedIn, _))
                return (Missing, null);
            var (status, refusal) = decide(state, pausedIn);
            if (status is null)
                return (refusal, null);

            await ReplayTable.MoveAsync(connection, replayId, status, null, now, context.CancellationToken);
            if (status is ReplayStatus.Paused or ReplayStatus.Cancelled)
                await ReplayTable.TakeBackAsync(connection, replayId, release: status == ReplayStatus.Cancelled, now, context.CancellationToken);
            if (status == ReplayStatus.Cancelled)
                context.Transaction().OnCommitted(() => meter.Ended(status));
            context.Transaction().OnCommitted(engine.Wake);
            return (null, state with { Status = status });
        }, action, state => new { replay_id = state.ReplayId });

    async Task DoAsync(
        ConsumeContext context, Guid operationId, Func<NpgsqlConnection, Operation, DateTimeOffset, Task<(Refusal? Refusal, ReplayState? State)>> change,
        string action, Func<ReplayState, object> tell)
    {
        var now = ReplayText.Whole(clock.GetUtcNow());
        var transaction = context.Transaction();
        var operation = await OperationTable.TakeAsync(transaction, operationId, context.CancellationToken);
        if (operation.IsCompleted)
            return;

        var (refusal, state) = await change(await transaction.OpenAsync(context.CancellationToken), operation, now);
        if (refusal is not null)
        {
            OperationTable.Refuse(transaction, operationId, refusal, now);
            transaction.OnCommitted(() => Refused(log, operationId, refusal.Code));
            return;
        }

        OperationTable.Succeed(transaction, operationId, JsonSerializer.Serialize(state), now);
        DeadLetterAudit.Append(transaction, now, operation.Actor, action, null, tell(state!), operation.Cause);
        transaction.OnCommitted(() => Moved(log, state!.ReplayId, state.Status, state.Letters, operationId));
    }

    [LoggerMessage(Level = LogLevel.Information, Message = "Replay {ReplayId} of {Letters} letters is {Status}, by operation {OperationId}")]
    static partial void Moved(ILogger logger, Guid replayId, string status, int letters, Guid operationId);

    [LoggerMessage(Level = LogLevel.Information, Message = "Operation {OperationId} on a replay is refused: {Code}")]
    static partial void Refused(ILogger logger, Guid operationId, string code);
}
