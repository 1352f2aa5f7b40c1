using System.Globalization;
using System.Text.Json;
using Pulse.Contracts.DeadLetters;
using Pulse.Contracts.Keys;
using Pulse.Ingress.Console;
using Pulse.Ingress.Http;

namespace Pulse.Ingress.DeadLetters;

/// <summary>How far a replay is: what the console's script asks for.</summary>
sealed record FollowedReplay(string Status, bool Moving, long Total, long Done, string Text, IReadOnlyDictionary<string, string> Counts);

/// <summary>Plan → preview → run.</summary>
static class ReplayPages
{
    public const string Path = ConsolePath.Root + "/replays";

    public static void Map(IEndpointRouteBuilder routes)
    {
        routes.MapPage(Path, Scopes.DeadLettersRead, ListAsync);
        routes.MapAction(Path, Scopes.DeadLettersWrite, PlanAsync, most: 1024 * 1024);
        routes.MapPage(Path + "/{id}", Scopes.DeadLettersRead, ShowAsync);
        routes.MapPage(Path + "/{id}/progress", Scopes.DeadLettersRead, FollowAsync);
        routes.MapAction(Path + "/{id}/preview", Scopes.DeadLettersWrite, PreviewAsync);
        routes.MapAction(Path + "/{id}/start", Scopes.DeadLettersWrite, StartAsync);
        foreach (var verb in (ReadOnlySpan<string>)["pause", "resume", "cancel"])
        {
            var steer = verb;
            routes.MapAction($"{Path}/{{id}}/{steer}", Scopes.DeadLettersWrite, (request, form) => SteerAsync(request, form, steer));
        }
    }

    /// <summary>What a replay is called in a table: the end of its id, which is random; its beginning is the time.</summary>
    public static string Name(Guid id) => id.ToString()[^12..];

    static async Task<IResult> ListAsync(ConsoleRequest request)
    {
        if (DeadLetterRules.Replays(request.Http.Request.Query, out var errors) is not { } query)
            return Errors.Refused(request, ListQuery.Invalid(errors), Path);

        var page = await ReplayEndpoints.PageAsync(request.Database, query, request.Aborted);
        return new ConsolePage(request, "Replays", Html.Of($"""
            <form method="get" action="{Path}" class="filters" aria-label="Filter replays">
            {Element.Select("status", "Status", "any", ReplayStatus.All.Select(status => (status, status)), query.Status)}
            <button type="submit">Filter</button>
            </form>
            {(page.Items.Count == 0
                ? Element.Empty("There are no replays here.", Html.Of($"""Choose messages in a <a href="{DeadLetterPages.Path}">group of dead letters</a> and plan one: nothing moves before you start it."""))
                : Element.Table("Replays", ["Replay", "Status", "#Messages", "#Resolved", "#Failed again", "Planned by", "Planned", "Ended"], page.Items.Select(replay => Row(request, replay))))}
            {Element.Pager(
                query.After is null ? null : ConsolePath.With(Path, ("status", query.Status)),
                page.NextCursor is { } cursor ? ConsolePath.With(Path, ("status", query.Status), ("cursor", cursor)) : null)}
            """));
    }

    static Html Row(ConsoleRequest request, Replay replay) => Html.Of($"""
        <tr><th scope="row"><a href="{Path}/{replay.ReplayId}"><code>{Name(replay.ReplayId)}</code></a></th>
        <td>{Element.Badge(replay.Status)}</td><td class="number">{Element.Number(replay.Progress.Letters)}</td>
        <td class="number">{Element.Number(replay.Progress.Resolved)}</td><td class="number">{Element.Number(replay.Progress.FailedAgain)}</td>
        <td><code>{replay.PlannedBy}</code></td><td>{Element.Time(replay.PlannedAt, request.Now)}</td><td>{Element.Time(replay.EndedAt, request.Now)}</td></tr>

        """);

    static async Task<IResult> PlanAsync(ConsoleRequest request, ConsoleForm form)
    {
        if (SelectionPages.Body(form) is not { } body)
            return SelectionPages.NothingChosen(request);
        if (DeadLetterRules.Plan(JsonSerializer.SerializeToElement(body, DeadLetterJson.Default.JsonObject), out var errors) is not { } plan)
            return Errors.Refused(request, ListQuery.Invalid(errors), DeadLetterPages.Path);

        var outcome = await request.Service<DeadLetterCommands>().PlanAsync(plan, request.Caller, form.OperationId(request), request.Aborted);
        return outcome.Answer(request, Path, operation => new SeeOther($"{Path}/{operation.Result!.Value.Deserialize(DeadLetterJson.Default.ReplayState)!.ReplayId}"));
    }

    static async Task<Replay?> FindAsync(ConsoleRequest request) =>
        DeadLetterEndpoints.Id(request.Route("id")) is { } id ? await ReplayTable.FindAsync(request.Database, id, request.Aborted) : null;

    static async Task<IResult> ShowAsync(ConsoleRequest request)
    {
        if (await FindAsync(request) is not { } replay)
            return Errors.NotFound(request);

        var planned = replay.Status == ReplayStatus.Planned;
        return new ConsolePage(request, planned ? "Plan of a replay" : "Replay", Html.Of($"""
            {Standing(request, replay)}
            {(planned || replay.Status == ReplayStatus.Expired ? Html.Nothing : Progress(replay))}
            {(request.May(Scopes.DeadLettersWrite) ? Verbs(request, replay) : Html.Nothing)}
            <section aria-label="Facts">
            {Element.Fields(
                ("Replay", Element.Code(replay.ReplayId.ToString())), ("Messages", Html.Of($"{Element.Number(replay.Progress.Letters)}")),
                ("Planned by", Element.Code(replay.PlannedBy)), ("Planned", Element.Time(replay.PlannedAt, request.Now)),
                (planned ? "The plan ends" : "", planned ? Element.Time(replay.ExpiresAt, request.Now) : Html.Nothing),
                ("Started by", Element.Code(replay.StartedBy)), ("Started", replay.StartedAt is null ? Html.Nothing : Element.Time(replay.StartedAt, request.Now)),
                ("Ended", replay.EndedAt is null ? Html.Nothing : Element.Time(replay.EndedAt, request.Now)),
                ("Rate", replay.RatePerSecond is { } rate ? Html.Of($"{(rate == 0 ? "as fast as it goes" : $"{rate.ToString(CultureInfo.InvariantCulture)} a second")}") : Html.Nothing),
                ("Canary", replay.Canary is { } canary ? Html.Of($"{(canary == 0 ? "none" : SelectionPages.Count(canary))}") : Html.Nothing),
                ("Stops by itself", replay.StopOnFailureRatio is { } ratio ? Html.Of($"{(ratio >= 1 ? "never" : $"when more than {ratio.ToString("0.#%", CultureInfo.InvariantCulture)} fail again")}") : Html.Nothing))}
            </section>
            {Troubled(request, replay)}
            {ReplayPlanParts.Preview(request, replay)}
            {ReplayPlanParts.Plan(replay)}
            {SelectionPages.Excluded(replay.Plan.Excluded)}
            """))
        {
            Above = [("Replays", Path)],
            Beside = Element.Badge(replay.Status),
            RefreshWithoutScript = replay.Moves ? TimeSpan.FromSeconds(3) : null,
        };
    }

    static Html Standing(ConsoleRequest request, Replay replay) => replay.Status switch
    {
        ReplayStatus.Planned when request.Query("previewed") is not null => Element.Notice("good", Html.Of($"The preview is below. Nothing has moved.")),
        ReplayStatus.Planned => Element.Notice("busy", Html.Of($"Nothing has moved. Preview what it would do, then start it.")),
        ReplayStatus.Expired => Element.Notice("warn", Html.Of($"""The plan was not started within its hour. <a href="{DeadLetterPages.Path}">Plan anew</a>: what failed since is then in it.""")),
        ReplayStatus.Stopped => Html.Of($"""<div class="notice bad" role="alert"><p>{Stopped(replay.StopReason)} What was not sent is free again: put right why it fails, then plan anew.</p></div>"""),
        ReplayStatus.Completed when replay.Progress is { FailedAgain: 0, Unanswered: 0, Excluded: 0 } => Element.Notice("good", Html.Of($"Every message was handled.")),
        ReplayStatus.Completed => Element.Notice("warn", Html.Of($"It is over, but not every message was resolved: see below.")),
        ReplayStatus.Cancelled => Element.Notice("warn", Html.Of($"It was cancelled. What was not sent is free again.")),
        ReplayStatus.Paused => Element.Notice("warn", Html.Of($"It is paused: what is with the broker already is still handled.")),
        _ => Html.Nothing,
    };

    static string Stopped(string? reason) => reason switch
    {
        "failure_ratio" => "It stopped by itself: too many failed again.",
        "canary_failed" => "It stopped by itself: too many of the canary failed again.",
        "canary_unanswered" => "It stopped by itself: the canary was not handled in time. Is a worker consuming the queue?",
        _ => "It stopped by itself.",
    };

    static Html Progress(Replay replay)
    {
        var progress = replay.Progress;
        // Only what moves is followed.
        var live = replay.Moves ? Html.Of($""" data-progress="{Path}/{replay.ReplayId}/progress" data-status="{replay.Status}" """) : Html.Nothing;
        return Html.Of($"""
            <section aria-labelledby="progress"{live}>
            <h2 id="progress">Progress</h2>
            <progress max="{Math.Max(1, progress.Letters)}" value="{progress.Done}" aria-labelledby="progress">{Sentence(replay)}</progress>
            <p data-line>{Sentence(replay)}</p>
            <ul class="counts">{Html.All(Counts(progress).Select(count => Html.Of($"""<li><strong data-count="{count.Key}">{Element.Number(count.Value)}</strong><span>{count.Key.Replace('_', ' ')}</span></li>""")))}</ul>
            <p id="spoken" class="hidden" aria-live="polite"></p>
            </section>
            """);
    }

    static string Sentence(Replay replay) => replay.Status == ReplayStatus.Canary
        ? $"The canary is on its way: {Element.Number(replay.Progress.Done)} of {Element.Number(replay.Progress.Letters)} messages handled, {replay.Progress.Percent} %"
        : $"{Element.Number(replay.Progress.Done)} of {Element.Number(replay.Progress.Letters)} messages handled, {replay.Progress.Percent} %";

    static IEnumerable<KeyValuePair<string, long>> Counts(ReplayProgress progress) =>
    [
        new("resolved", progress.Resolved), new("failed_again", progress.FailedAgain), new("sent", progress.Sent), new("queued", progress.Queued),
        new("planned", progress.Planned), new("unanswered", progress.Unanswered), new("excluded", progress.Excluded), new("cancelled", progress.Cancelled),
    ];

    static async Task<IResult> FollowAsync(ConsoleRequest request)
    {
        if (await FindAsync(request) is not { } replay)
            return Problem.NotFound().On(request.Http);

        ConsoleHeaders.WriteTo(request.Http.Response.Headers);
        return TypedResults.Json(
            new FollowedReplay(
                replay.Status, replay.Moves, Math.Max(1, replay.Progress.Letters), replay.Progress.Done, Sentence(replay),
                Counts(replay.Progress).ToDictionary(count => count.Key, count => Element.Number(count.Value))),
            DeadLetterJson.Default.FollowedReplay);
    }

    static Html Verbs(ConsoleRequest request, Replay replay) => replay.Status switch
    {
        ReplayStatus.Planned => ReplayPlanParts.Start(request, replay),
        ReplayStatus.Canary or ReplayStatus.Running => Html.Of($"""<div class="buttons">{Verb(request, replay, "pause", "Pause")}{Verb(request, replay, "cancel", "Cancel the replay")}</div>"""),
        ReplayStatus.Paused => Html.Of($"""<div class="buttons">{Verb(request, replay, "resume", "Resume")}{Verb(request, replay, "cancel", "Cancel the replay")}</div>"""),
        _ => Html.Nothing,
    };

    public static Html Verb(ConsoleRequest request, Replay replay, string verb, string button) => Html.Of($"""
        <form method="post" action="{Path}/{replay.ReplayId}/{verb}">{Element.Token(request)}{Element.OperationKey()}<button type="submit">{button}</button></form>
        """);

    static Html Troubled(ConsoleRequest request, Replay replay) => replay.Troubled is not { Count: > 0 } troubled ? Html.Nothing : Element.Section("troubled", "Not resolved", Element.Table(
        "Messages that were not resolved", ["Message", "How it ended", "Sent", "Handled"],
        troubled.Select(item => Html.Of($"""
            <tr><th scope="row"><a href="{DeadLetterPages.Letter(item.DeadLetterId)}"><code>{item.DeadLetterId}</code></a></th><td>{Element.Badge(item.State)}</td>
            <td>{Element.Time(item.SentAt, request.Now)}</td><td>{Element.Time(item.HandledAt, request.Now)}</td></tr>

            """))));

    static async Task<IResult> PreviewAsync(ConsoleRequest request, ConsoleForm form)
    {
        if (await FindAsync(request) is not { } replay)
            return Errors.NotFound(request);
        if (DeadLetterRules.Preview(form.Body(("sample", true)), out var errors) is not { } preview)
            return Errors.Refused(request, ListQuery.Invalid(errors), $"{Path}/{replay.ReplayId}");

        var outcome = await request.Service<DeadLetterCommands>().PreviewAsync(replay.ReplayId, preview, request.Caller, form.OperationId(request), request.Aborted);
        return outcome.Answer(request, $"{Path}/{replay.ReplayId}", _ => new SeeOther($"{Path}/{replay.ReplayId}?previewed=1"));
    }

    static async Task<IResult> StartAsync(ConsoleRequest request, ConsoleForm form)
    {
        if (await FindAsync(request) is not { } replay)
            return Errors.NotFound(request);
        if (DeadLetterRules.Start(form.Body(("rate_per_second", true), ("canary", true), ("stop_on_failure_ratio", true)), out var errors) is not { } start)
            return Errors.Refused(request, ListQuery.Invalid(errors), $"{Path}/{replay.ReplayId}");

        var outcome = await request.Service<DeadLetterCommands>().StartAsync(replay.ReplayId, start, request.Caller, form.OperationId(request), request.Aborted);
        return outcome.Answer(request, $"{Path}/{replay.ReplayId}", _ => new SeeOther($"{Path}/{replay.ReplayId}"));
    }

    static async Task<IResult> SteerAsync(ConsoleRequest request, ConsoleForm form, string verb)
    {
        if (await FindAsync(request) is not { } replay)
            return Errors.NotFound(request);

        var outcome = await request.Service<DeadLetterCommands>().SteerAsync(verb, replay.ReplayId, request.Caller, form.OperationId(request), request.Aborted);
        return outcome.Answer(request, $"{Path}/{replay.ReplayId}", _ => new SeeOther($"{Path}/{replay.ReplayId}"));
    }
}
