using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.Json.Serialization.Metadata;
using Npgsql;
using Pulse.Contracts.DeadLetters;
using Pulse.Contracts.Keys;
using Pulse.Ingress.Keys;
using Pulse.Ingress.Operations;

namespace Pulse.Ingress.DeadLetters;

/// <summary>What an operator does about dead letters: each an operation, from the API and from the console alike.</summary>
sealed class DeadLetterCommands(OperationIntake intake, NpgsqlDataSource dataSource, TimeProvider clock)
{
    /// <summary>How long after a reveal was audited the payload may be fetched under its Idempotency-Key: for an answer that got lost.</summary>
    public static readonly TimeSpan RevealedFor = TimeSpan.FromMinutes(5);

    static readonly OperationKind Plan = Kind(DeadLetterOperations.Plan);
    static readonly OperationKind Preview = Kind(DeadLetterOperations.Preview);
    static readonly OperationKind Start = Kind(DeadLetterOperations.Start);
    static readonly OperationKind Pause = Kind(DeadLetterOperations.Pause);
    static readonly OperationKind Resume = Kind(DeadLetterOperations.Resume);
    static readonly OperationKind Cancel = Kind(DeadLetterOperations.Cancel);
    static readonly OperationKind Discard = Kind(DeadLetterOperations.Discard);
    static readonly OperationKind Restore = Kind(DeadLetterOperations.Restore);
    static readonly OperationKind Edit = Kind(DeadLetterOperations.Edit);
    static readonly OperationKind Reveal = new(DeadLetterOperations.Reveal, Scopes.DeadLettersReveal);

    public static IReadOnlyList<OperationKind> Kinds { get; } = [Plan, Preview, Start, Pause, Resume, Cancel, Discard, Restore, Edit, Reveal];

    public Task<OperationOutcome> PlanAsync(PlanRequest request, Caller caller, Guid? keyedId, CancellationToken cancellationToken) =>
        SubmitAsync(Plan, null, request, DeadLetterJson.Default.PlanRequest, operation => new PlanReplay { OperationId = operation }, caller, keyedId, cancellationToken);

    public Task<OperationOutcome> PreviewAsync(Guid replay, PreviewRequest request, Caller caller, Guid? keyedId, CancellationToken cancellationToken) =>
        SubmitAsync(Preview, replay, request, DeadLetterJson.Default.PreviewRequest, operation => new PreviewReplay { OperationId = operation, ReplayId = replay }, caller, keyedId, cancellationToken);

    public Task<OperationOutcome> StartAsync(Guid replay, StartRequest request, Caller caller, Guid? keyedId, CancellationToken cancellationToken) =>
        SubmitAsync(Start, replay, request, DeadLetterJson.Default.StartRequest, operation => new StartReplay { OperationId = operation, ReplayId = replay }, caller, keyedId, cancellationToken);

    /// <summary>pause, resume or cancel.</summary>
    public Task<OperationOutcome> SteerAsync(string verb, Guid replay, Caller caller, Guid? keyedId, CancellationToken cancellationToken) => verb switch
    {
        "pause" => intake.SubmitAsync(Pause, null, About(replay), operation => new PauseReplay { OperationId = operation, ReplayId = replay }, caller, keyedId, cancellationToken),
        "resume" => intake.SubmitAsync(Resume, null, About(replay), operation => new ResumeReplay { OperationId = operation, ReplayId = replay }, caller, keyedId, cancellationToken),
        "cancel" => intake.SubmitAsync(Cancel, null, About(replay), operation => new CancelReplay { OperationId = operation, ReplayId = replay }, caller, keyedId, cancellationToken),
        _ => throw new ArgumentOutOfRangeException(nameof(verb), verb, "pause, resume or cancel"),
    };

    public Task<OperationOutcome> DiscardAsync(SelectionRequest request, Caller caller, Guid? keyedId, CancellationToken cancellationToken) =>
        SubmitAsync(Discard, null, request, DeadLetterJson.Default.SelectionRequest, operation => new DiscardDeadLetters { OperationId = operation }, caller, keyedId, cancellationToken);

    public Task<OperationOutcome> RestoreAsync(SelectionRequest request, Caller caller, Guid? keyedId, CancellationToken cancellationToken) =>
        SubmitAsync(Restore, null, request, DeadLetterJson.Default.SelectionRequest, operation => new RestoreDeadLetters { OperationId = operation }, caller, keyedId, cancellationToken);

    public Task<OperationOutcome> EditAsync(Guid letter, EditBody body, Caller caller, Guid? keyedId, CancellationToken cancellationToken) =>
        SubmitAsync(
            Edit, letter, new EditRequest { DeadLetterId = letter, Message = body.Message, Reason = body.Reason }, DeadLetterJson.Default.EditRequest,
            operation => new EditDeadLetter { OperationId = operation, DeadLetterId = letter }, caller, keyedId, cancellationToken);

    /// <summary>Audits first, and reads what is to be shown after that.</summary>
    /// <returns>What became of it; and the letter unmasked, if it may be shown now.</returns>
    public async Task<(OperationOutcome Outcome, RevealedDeadLetter? Letter)> RevealAsync(Guid letter, Caller caller, Guid? keyedId, CancellationToken cancellationToken)
    {
        var outcome = await intake.SubmitAsync(
            Reveal, null, About(letter), operation => new RevealDeadLetter { OperationId = operation, DeadLetterId = letter }, caller, keyedId, cancellationToken);
        // An old key is no pass: each look is audited.
        return outcome is OperationOutcome.Completed({ Status: "succeeded", CompletedAt: { } at, Result: { } result })
            && clock.GetUtcNow().UtcDateTime - at <= RevealedFor && result.Deserialize(DeadLetterJson.Default.RevealResult) is { } audited && audited.DeadLetterId == letter
            ? (outcome, await DeadLetterTable.RevealAsync(dataSource, audited, cancellationToken))
            : (outcome, null);
    }

    Task<OperationOutcome> SubmitAsync<TRequest, TCommand>(
        OperationKind kind, Guid? about, TRequest request, JsonTypeInfo<TRequest> json, Func<Guid, TCommand> command, Caller caller, Guid? keyedId, CancellationToken cancellationToken)
        where TCommand : class =>
        intake.SubmitAsync(kind, null, About(about, JsonSerializer.SerializeToNode(request, json)!.AsObject()), command, caller, keyedId, cancellationToken);

    // A repeat is compared by what was asked: the same key for another replay is another command.
    static string About(Guid? id, JsonObject? request = null)
    {
        request ??= [];
        if (id is not null)
            request["about"] = id.Value.ToString();
        return request.ToJsonString();
    }

    static OperationKind Kind(string name) => new(name, Scopes.DeadLettersWrite) { Shown = result => ReplayMasking.Of(name, result) };
}
