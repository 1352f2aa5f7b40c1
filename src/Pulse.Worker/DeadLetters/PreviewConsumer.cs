using System.Collections.Concurrent;
using System.Text.Json;
using MassTransit;
using Npgsql;
using Pulse.Contracts.DeadLetters;
using Pulse.Messaging;
using Pulse.Messaging.Rehearsing;
using Pulse.Worker.Operations;

namespace Pulse.Worker.DeadLetters;

/// <summary>
/// Tells what a replay would do: some of its letters, spread over the plan, go through their consumers in transactions that are rolled back.
/// </summary>
/// <remarks>
/// Before its own transaction begins: that would be open, and hold the operation's row, for as long as it takes. A repeat looks once more, and changes
/// nothing that is there.
/// </remarks>
sealed partial class PreviewConsumer(NpgsqlDataSource dataSource, Rehearsals rehearsals, TimeProvider clock, ILogger<PreviewConsumer> log)
    : IConsumer<PreviewReplay>
{
    public const string EndpointName = "replay-previews";

    const int Sample = 50;
    const int MostSample = 200;

    /// <summary>At the same time.</summary>
    const int Lanes = 4;

    static readonly TimeSpan ForOne = TimeSpan.FromSeconds(2);
    static readonly TimeSpan ForAll = TimeSpan.FromSeconds(15);

    public async Task Consume(ConsumeContext<PreviewReplay> context)
    {
        var (replayId, operationId) = (context.Message.ReplayId, context.Message.OperationId);
        var plan = await PreviewTable.PlanAsync(dataSource, replayId, operationId, context.CancellationToken);
        var preview = plan is { Status: ReplayStatus.Planned } ? await LookAsync(replayId, plan, context.CancellationToken) : null;

        var now = ReplayText.Whole(clock.GetUtcNow());
        var transaction = context.Transaction();
        var operation = await OperationTable.TakeAsync(transaction, operationId, context.CancellationToken);
        if (operation.IsCompleted)
            return;

        if (preview is null)
        {
            OperationTable.Refuse(transaction, operationId, plan is null
                ? new Refusal(404, "not_found", "There is no such replay.")
                : new Refusal(409, "replay_not_planned", $"It is {plan.Status}: what it does can be seen."), now);
            return;
        }

        var result = JsonSerializer.Serialize(preview);
        transaction.Defer(PreviewTable.Store(replayId, result, now));
        OperationTable.Succeed(transaction, operationId, result, now);
        DeadLetterAudit.Append(transaction, now, operation.Actor, "replay_previewed", null, new { replay_id = replayId, summary = preview.Summary }, operation.Cause);
        transaction.OnCommitted(() => Looked(log, replayId, preview.LookedAt, preview.Letters));
    }

    async Task<PreviewResult> LookAsync(Guid replayId, PreviewTable.Planned plan, CancellationToken cancellationToken)
    {
        var sample = Math.Clamp(JsonSerializer.Deserialize<PreviewRequest>(plan.Request)?.Sample ?? Sample, 1, MostSample);
        using var patience = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        patience.CancelAfter(ForAll);
        var outcomes = new ConcurrentBag<(int Position, PreviewOutcome Outcome)>();
        try
        {
            await Parallel.ForEachAsync(
                PreviewRules.Positions(plan.Letters, sample), new ParallelOptions { MaxDegreeOfParallelism = Lanes, CancellationToken = patience.Token },
                async (position, stop) =>
                {
                    if (await PreviewTable.LetterAsync(dataSource, replayId, position, stop) is not { } letter)
                        return;
                    using var one = CancellationTokenSource.CreateLinkedTokenSource(stop);
                    one.CancelAfter(2 * ForOne);
                    RehearsalOutcome rehearsed;
                    try
                    {
                        rehearsed = await rehearsals.RunAsync(letter.Queue, letter.ContentType, letter.Headers, letter.Body, ForOne, one.Token);
                    }
                    catch (OperationCanceledException) when (!stop.IsCancellationRequested)
                    {
                        rehearsed = new RehearsalOutcome(RehearsalEnd.TimedOut);
                    }

                    outcomes.Add((position, PreviewRules.Outcome(letter.DeadLetterId, rehearsed)));
                });
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            // Time is up: what was looked at is what is told.
        }

        return PreviewRules.Result(replayId, plan.Letters, [.. outcomes.OrderBy(outcome => outcome.Position).Select(outcome => outcome.Outcome)], ReplayText.Whole(clock.GetUtcNow()));
    }

    [LoggerMessage(Level = LogLevel.Information, Message = "Replay {ReplayId} was previewed: {LookedAt} of {Letters} letters")]
    static partial void Looked(ILogger logger, Guid replayId, int lookedAt, int letters);
}
