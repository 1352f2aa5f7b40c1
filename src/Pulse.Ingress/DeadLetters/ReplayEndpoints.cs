using Microsoft.AspNetCore.Http.HttpResults;
using Npgsql;
using Pulse.Contracts.DeadLetters;
using Pulse.Contracts.Keys;
using Pulse.Ingress.Http;
using Pulse.Ingress.Keys;
using Pulse.Ingress.Operations;

namespace Pulse.Ingress.DeadLetters;

/// <summary>Plans, previews and runs of replays.</summary>
static class ReplayEndpoints
{
    const string Path = "/api/admin/replays";

    public static void MapReplays(this IEndpointRouteBuilder routes)
    {
        routes.MapGet(Path, ListAsync).RequireScope(Scopes.DeadLettersRead).DescribeReplays();
        routes.MapPost(Path, PlanAsync).RequireScope(Scopes.DeadLettersWrite).DescribePlan();
        routes.MapGet(Path + "/{replay_id}", FindAsync).RequireScope(Scopes.DeadLettersRead).DescribeReplay();
        routes.MapPost(Path + "/{replay_id}/preview", PreviewAsync).RequireScope(Scopes.DeadLettersWrite).DescribePreview();
        routes.MapPost(Path + "/{replay_id}/start", StartAsync).RequireScope(Scopes.DeadLettersWrite).DescribeStart();
        routes.MapPost(Path + "/{replay_id}/pause", Steer("pause")).RequireScope(Scopes.DeadLettersWrite)
            .DescribeSteer("pauseReplay", "Pauses a running replay: what is not with the broker yet is taken back, and stays its own.");
        routes.MapPost(Path + "/{replay_id}/resume", Steer("resume")).RequireScope(Scopes.DeadLettersWrite)
            .DescribeSteer("resumeReplay", "Lets a paused replay go on.");
        routes.MapPost(Path + "/{replay_id}/cancel", Steer("cancel")).RequireScope(Scopes.DeadLettersWrite)
            .DescribeSteer("cancelReplay", "Ends a plan or a replay: what is not with the broker yet is taken back, and free again.");
    }

    static async Task<Results<Ok<Page<Replay>>, ProblemHttpResult>> ListAsync(HttpContext context, NpgsqlDataSource dataSource, CancellationToken cancellationToken) =>
        DeadLetterRules.Replays(context.Request.Query, out var errors) is { } query
            ? TypedResults.Ok(await PageAsync(dataSource, query, cancellationToken))
            : ListQuery.Invalid(errors).On(context);

    public static async Task<Page<Replay>> PageAsync(NpgsqlDataSource dataSource, ReplayQuery query, CancellationToken cancellationToken) =>
        Page<Replay>.Of(
            await ReplayTable.ListAsync(dataSource, query, cancellationToken), query.Limit,
            replay => replay, replay => new LetterPlace(replay.PlannedAt, replay.ReplayId).ToCursor("r"));

    static async Task<Results<Ok<Replay>, ProblemHttpResult>> FindAsync(HttpContext context, string replay_id, NpgsqlDataSource dataSource, CancellationToken cancellationToken) =>
        DeadLetterEndpoints.Id(replay_id) is { } id && await ReplayTable.FindAsync(dataSource, id, cancellationToken) is { } replay
            ? TypedResults.Ok(replay)
            : Problem.NotFound().On(context);

    static Task<Results<Ok<ReplayState>, Accepted<OperationStatus>, ProblemHttpResult>> PlanAsync(
        HttpContext context, DeadLetterCommands commands, CancellationToken cancellationToken) => CommandBody.SubmitAsync(
            context, DeadLetterRules.Plan, (plan, caller, keyedId) => commands.PlanAsync(plan, caller, keyedId, cancellationToken), DeadLetterJson.Default.ReplayState, ReplayMasking.Of);

    static async Task<Results<Ok<PreviewResult>, Accepted<OperationStatus>, ProblemHttpResult>> PreviewAsync(
        HttpContext context, string replay_id, NpgsqlDataSource dataSource, DeadLetterCommands commands, CancellationToken cancellationToken) =>
        await KnownAsync(replay_id, dataSource, cancellationToken) is { } id
            ? await CommandBody.SubmitOptionalAsync(
                context, DeadLetterRules.Preview, (preview, caller, keyedId) => commands.PreviewAsync(id, preview, caller, keyedId, cancellationToken),
                DeadLetterJson.Default.PreviewResult, ReplayMasking.Of)
            : Problem.NotFound().On(context);

    static async Task<Results<Ok<ReplayState>, Accepted<OperationStatus>, ProblemHttpResult>> StartAsync(
        HttpContext context, string replay_id, NpgsqlDataSource dataSource, DeadLetterCommands commands, CancellationToken cancellationToken) =>
        await KnownAsync(replay_id, dataSource, cancellationToken) is { } id
            ? await CommandBody.SubmitOptionalAsync(
                context, DeadLetterRules.Start, (start, caller, keyedId) => commands.StartAsync(id, start, caller, keyedId, cancellationToken),
                DeadLetterJson.Default.ReplayState, ReplayMasking.Of)
            : Problem.NotFound().On(context);

    delegate Task<Results<Ok<ReplayState>, Accepted<OperationStatus>, ProblemHttpResult>> Verb(
        HttpContext context, string replay_id, NpgsqlDataSource dataSource, DeadLetterCommands commands, CancellationToken cancellationToken);

    static Verb Steer(string verb) => async (context, replay_id, dataSource, commands, cancellationToken) =>
    {
        if (await KnownAsync(replay_id, dataSource, cancellationToken) is not { } id)
            return Problem.NotFound().On(context);

        return await CommandBody.SubmitOptionalAsync(
            context,
            (System.Text.Json.JsonElement? body, out OrderedDictionary<string, string[]> errors) => DeadLetterRules.IsNothing(body, out errors) ? verb : null,
            (steer, caller, keyedId) => commands.SteerAsync(steer, id, caller, keyedId, cancellationToken),
            DeadLetterJson.Default.ReplayState, ReplayMasking.Of);
    };

    // Looked at here so that a mistyped id does not wait for a worker. Where the replay stands, the worker sees under its lock.
    static async Task<Guid?> KnownAsync(string address, NpgsqlDataSource dataSource, CancellationToken cancellationToken) =>
        DeadLetterEndpoints.Id(address) is { } id && await ReplayTable.FindAsync(dataSource, id, cancellationToken) is not null ? id : null;
}
