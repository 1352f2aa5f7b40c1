using System.Text.Json;
using System.Text.Json.Nodes;
using Pulse.Contracts.DeadLetters;
using Pulse.Contracts.Keys;
using Pulse.Ingress.Console;
using Pulse.Ingress.Http;
using Pulse.Ingress.Operations;

namespace Pulse.Ingress.DeadLetters;

/// <summary>Discarding and restoring: what is chosen in a list, a confirmation with a reason, and what became of it.</summary>
static class SelectionPages
{
    const string Discard = DeadLetterPages.Path + "/discard";
    const string Restore = DeadLetterPages.Path + "/restore";

    public static void Map(IEndpointRouteBuilder routes)
    {
        routes.MapAction(Discard, Scopes.DeadLettersWrite, (request, form) => ActAsync(request, form, Discard), most: 1024 * 1024);
        routes.MapAction(Restore, Scopes.DeadLettersWrite, (request, form) => ActAsync(request, form, Restore), most: 1024 * 1024);
    }

    /// <summary>What can be done with the letters of a list: those that are ticked, or all that its filter finds.</summary>
    public static Html Buttons => Html.Of($"""
        <div class="buttons" role="group" aria-label="With these messages">
        <button type="submit" name="take" value="all" class="main">Plan a replay of all that match</button>
        <button type="submit" name="take" value="ticked">Plan a replay of the chosen</button>
        <button type="submit" name="take" value="ticked" formaction="{Discard}">Discard the chosen…</button>
        <button type="submit" name="take" value="ticked" formaction="{Restore}">Restore the chosen…</button>
        <button type="submit" name="take" value="all" formaction="{Discard}" class="quiet">Discard all that match…</button>
        </div>
        """);

    /// <summary>The same for one letter.</summary>
    public static Html ForOne(ConsoleRequest request, DeadLetterItem letter)
    {
        var gone = letter.Status is DeadLetterStatus.Discarded or DeadLetterStatus.Resolved;
        return Html.Of($"""
            <form method="post" action="{ReplayPages.Path}">
            {Element.Token(request)}{Element.OperationKey()}<input type="hidden" name="letter" value="{letter.DeadLetterId}"><input type="hidden" name="take" value="ticked">
            {(gone ? Html.Nothing : Html.Of($"""<button type="submit" class="main">Plan a replay</button>"""))}
            {(letter.Status is DeadLetterStatus.Discarded or DeadLetterStatus.Quarantined ? Html.Of($"""<button type="submit" formaction="{Restore}">Restore…</button>""") : Html.Nothing)}
            {(gone ? Html.Nothing : Html.Of($"""<button type="submit" formaction="{Discard}">Discard…</button>"""))}
            </form>
            """);
    }

    /// <summary>A filter in a form.</summary>
    public static Html Hidden(DeadLetterFilter filter) =>
        Html.All(DeadLetterPages.Fields(filter).Select(field => Html.Of($"""<input type="hidden" name="filter_{field.Name}" value="{field.Value}">""")));

    /// <summary>What a form chose, as the API's body says it; null when nothing was ticked, or it is not said what is meant: never everything by accident.</summary>
    public static JsonObject? Body(ConsoleForm form)
    {
        if (form["take"] is not ("ticked" or "all"))
            return null;

        if (form["take"] == "ticked")
        {
            return form.All("letter") is { Count: > 0 } ids
                ? new JsonObject { ["ids"] = new JsonArray([.. ids.Select(id => JsonValue.Create(id))]) }
                : null;
        }

        var filter = new JsonObject();
        foreach (var name in (ReadOnlySpan<string>)["queue", "q", "type", "exception", "fingerprint", "reason", "org", "id", "from", "to"])
        {
            if (form[$"filter_{name}"] is { } value)
                filter[name] = value;
        }

        if (form["filter_status"] is { } statuses)
            filter["status"] = new JsonArray([.. statuses.Split(',').Select(status => JsonValue.Create(status))]);
        return new JsonObject { ["filter"] = filter };
    }

    public static ConsolePage NothingChosen(ConsoleRequest request) => Errors.Refused(
        request, Problem.InvalidRequest("No message was chosen. Go back, tick the boxes of those that you mean, and press the button again."), DeadLetterPages.Path);

    static async Task<IResult> ActAsync(ConsoleRequest request, ConsoleForm form, string path)
    {
        if (Body(form) is not { } body)
            return NothingChosen(request);
        if (form["confirmed"] != "yes")
            return Confirmation(request, form, path, null);

        body["reason"] = form["reason"];
        if (DeadLetterRules.Selection(JsonSerializer.SerializeToElement(body, DeadLetterJson.Default.JsonObject), out var errors) is not { } selection)
            return Confirmation(request, form, path, string.Join(' ', errors.Values.SelectMany(messages => messages)));

        var commands = request.Service<DeadLetterCommands>();
        var outcome = path == Discard
            ? await commands.DiscardAsync(selection, request.Caller, form.OperationId(request), request.Aborted)
            : await commands.RestoreAsync(selection, request.Caller, form.OperationId(request), request.Aborted);
        return outcome.Answer(request, DeadLetterPages.Path, operation => Done(request, operation, path));
    }

    static ConsolePage Done(ConsoleRequest request, Operation operation, string path)
    {
        var result = operation.Result!.Value.Deserialize(DeadLetterJson.Default.SelectionResult)!;
        var verb = path == Discard ? "discarded" : "restored";
        return new ConsolePage(request, path == Discard ? "Discard messages" : "Restore messages", Html.Of($"""
            {Element.Notice(result.Letters > 0 ? "good" : "warn", Html.Of($"{Count(result.Letters)} {verb}."))}
            {(result.Capped ? Element.Notice("warn", Html.Of($"More were found than one command takes. Do it again for the others.")) : Html.Nothing)}
            {Excluded(result.Excluded)}
            <p class="buttons"><a class="button" href="{DeadLetterPages.Path}">To the dead letters</a></p>
            """))
        {
            Above = [("Dead letters", DeadLetterPages.Path)],
        };
    }

    static ConsolePage Confirmation(ConsoleRequest request, ConsoleForm form, string path, string? mistake)
    {
        var discarding = path == Discard;
        var ids = form["take"] == "ticked" ? form.All("letter") : [];
        var what = ids.Count > 0 ? Count(ids.Count) : "all messages that the filter finds when it is done";
        return new ConsolePage(request, discarding ? "Discard messages" : "Restore messages", Html.Of($"""
            {(mistake is null ? Html.Nothing : Html.Of($"""<div class="notice bad" role="alert"><p>{mistake}</p></div>"""))}
            <section aria-label="Confirmation">
            <p>{(discarding ? "You are about to give up" : "You are about to take back")} <strong>{what}</strong>.
            {(discarding ? "No replay sends them any more, unless they are restored. After their retention they are gone." : "Discarded and quarantined messages are parked again, and can be replayed.")}</p>
            {Element.Form(request, path, Html.Of($"""
                <input type="hidden" name="confirmed" value="yes"><input type="hidden" name="take" value="{form["take"]}">
                {Html.All(ids.Select(id => Html.Of($"""<input type="hidden" name="letter" value="{id}">""")))}
                {Html.All(FilterFields(form))}
                {Element.Input("reason", "Reason", form["reason"], DeadLetterRules.ReasonMost, "For the audit log. No personal data.", required: true)}
                """), discarding ? "Discard" : "Restore", DeadLetterPages.Path, dangerous: discarding)}
            </section>
            """))
        {
            Above = [("Dead letters", DeadLetterPages.Path)],
            Status = mistake is null ? StatusCodes.Status200OK : StatusCodes.Status400BadRequest,
        };
    }

    static IEnumerable<Html> FilterFields(ConsoleForm form) => form["take"] == "ticked" ? [] :
        from name in (string[])["status", "queue", "q", "type", "exception", "fingerprint", "reason", "org", "id", "from", "to"]
        where form[$"filter_{name}"] is not null
        select Html.Of($"""<input type="hidden" name="filter_{name}" value="{form[$"filter_{name}"]}">""");

    /// <summary>What was left out, and why.</summary>
    public static Html Excluded(IReadOnlyList<Exclusion> excluded) => excluded.Count == 0 ? Html.Nothing : Element.Section("excluded", "Left as they are", Element.Table(
        "What was left out", ["Why", "#Messages", "For example"],
        excluded.Select(exclusion => Html.Of($"""
            <tr><th scope="row">{Because(exclusion.Why)}</th><td class="number">{Element.Number(exclusion.Letters)}</td>
            <td>{(exclusion.Samples is [var sample, ..] ? Html.Of($"""<a href="{DeadLetterPages.Letter(sample)}"><code>{sample}</code></a>""") : Html.Nothing)}</td></tr>

            """))));

    static string Because(string why) => why switch
    {
        "quarantined" => "Quarantined: three replays failed. Restore them first",
        "discarded" => "Discarded. Restore them first",
        "resolved" => "Resolved already",
        "in_active_replay" => "In another replay that is not over",
        "body_cut" => "Larger than what is kept",
        "gone" => "Gone: retention is over, or there is no such message",
        "edited" => "Its edited copy stands in for it",
        "not_discarded" => "Neither discarded nor quarantined",
        _ => why.Replace('_', ' '),
    };

    public static string Count(long letters) => letters == 1 ? "1 message" : $"{Element.Number(letters)} messages";
}
