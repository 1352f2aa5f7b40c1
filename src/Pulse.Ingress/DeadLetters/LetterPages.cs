using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;
using Pulse.Contracts.DeadLetters;
using Pulse.Contracts.Keys;
using Pulse.Ingress.Console;
using Pulse.Ingress.Http;
using Pulse.Ingress.Operations;

namespace Pulse.Ingress.DeadLetters;

/// <summary>One message: masked, revealed after a confirmation that is audited, and edited into a copy.</summary>
static class LetterPages
{
    const int EditMost = 256 * 1024;

    static readonly JsonSerializerOptions Readable = new() { WriteIndented = true, Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    public static void Map(IEndpointRouteBuilder routes)
    {
        const string letter = DeadLetterPages.Letters + "/{id}";
        routes.MapPage(letter, Scopes.DeadLettersRead, ShowAsync);
        routes.MapPage(letter + "/reveal", Scopes.DeadLettersReveal, ConfirmRevealAsync);
        routes.MapAction(letter + "/reveal", Scopes.DeadLettersReveal, RevealAsync);
        routes.MapPage(letter + "/edit", Scopes.DeadLettersReveal, ConfirmEditAsync);
        routes.MapAction(letter + "/edit", Scopes.DeadLettersReveal, EditAsync, most: EditMost);
    }

    static async Task<DeadLetterDetail?> FindAsync(ConsoleRequest request) =>
        DeadLetterEndpoints.Id(request.Route("id")) is { } id ? await DeadLetterTable.FindAsync(request.Database, id, request.Aborted) : null;

    static IReadOnlyList<(string, string)> Above(DeadLetterItem letter) =>
        [("Dead letters", DeadLetterPages.Path), (DeadLetterPages.Short(letter.ExceptionType) ?? "Group", DeadLetterPages.Group(letter.Fingerprint))];

    static IReadOnlyList<(string, string)> Below(DeadLetterItem letter) => [.. Above(letter), (Name(letter), DeadLetterPages.Letter(letter.DeadLetterId))];

    static string Name(DeadLetterItem letter) => DeadLetterPages.Short(letter.MessageType) ?? "Message";

    static async Task<IResult> ShowAsync(ConsoleRequest request)
    {
        if (await FindAsync(request) is not { } detail)
            return Errors.NotFound(request);

        var letter = detail.Letter;
        return new ConsolePage(request, Name(letter), Html.Of($"""
            {Notices(detail)}
            <div class="buttons">
            {(request.May(Scopes.DeadLettersWrite) ? SelectionPages.ForOne(request, letter) : Html.Nothing)}
            {(request.May(Scopes.DeadLettersReveal) ? Html.Of($"""<a class="button" href="{DeadLetterPages.Letter(letter.DeadLetterId)}/reveal">Reveal…</a>""") : Html.Nothing)}
            {(MayEdit(request, detail) ? Html.Of($"""<a class="button" href="{DeadLetterPages.Letter(letter.DeadLetterId)}/edit">Edit a copy…</a>""") : Html.Nothing)}
            </div>
            <section aria-label="Facts">
            {Element.Fields(
                ("Queue", Element.Code(letter.Queue)), ("Message type", Element.Name(letter.MessageType)), ("Message id", Element.Code(letter.MessageId.ToString())),
                ("Organization", letter.OrgId is { } org ? Element.Code(OrgAddress.Text(org)) : Html.Nothing),
                ("Why it is here", Html.Of($"{DeadLetterPages.Why(letter.Reason)}")),
                ("First failed", Element.Time(letter.FirstFailedAt, request.Now)), ("Last failed", Element.Time(letter.LastFailedAt, request.Now)),
                ("Failures", Html.Of($"{letter.Occurrences}")), ("Replays", Html.Of($"{letter.Attempts}, of which {letter.FailedReplays} failed in a row")),
                ("Body", Html.Of($"{Element.Number(detail.BodyBytes)} bytes, {detail.ContentType}")),
                ("Discarded by", Element.Code(detail.DiscardedBy)), ("Because", Element.Text(detail.DiscardReason)))}
            </section>
            {Exception(letter.ExceptionType, letter.ExceptionMessage, detail.Stack)}
            {Edit(detail.Edit)}
            <div class="columns">
            {Element.Section("payload", "Payload", detail.Payload is { } payload
                ? Html.Of($"""<pre tabindex="0" aria-labelledby="payload">{Indented(payload)}</pre>""")
                : Html.Of($"""<p class="muted">It is no JSON, or too long a one to mask: nothing of it is shown. Reveal shows it as it came.</p>"""))}
            {Element.Section("headers", "Headers", Headers(detail.Headers.Select(header => (header.Key, header.Value))))}
            </div>
            <div class="columns">
            {Element.Section("failures", "Failures", Element.Table("Failures", ["When", "Exception", "In replay"], detail.Failures.Select(failure => Html.Of($"""
                <tr><td>{Element.Time(failure.FailedAt, request.Now)}</td><td class="wide">{DeadLetterPages.Short(failure.ExceptionType)} <span class="muted">{failure.ExceptionMessage}</span></td>
                <td>{ReplayLink(failure.ReplayId)}</td></tr>

                """))))}
            {Element.Section("replays", "Replays", detail.Replays.Count == 0
                ? Element.Empty("No replay has taken it yet.", Html.Of($"Put right why it failed, then plan a replay: nothing moves before you start it."))
                : Element.Table("Replays", ["Replay", "How it ended", "Sent", "Handled"], detail.Replays.Select(replay => Html.Of($"""
                    <tr><td>{ReplayLink(replay.ReplayId)}</td><td>{Element.Badge(replay.State)}</td><td>{Element.Time(replay.SentAt, request.Now)}</td><td>{Element.Time(replay.HandledAt, request.Now)}</td></tr>

                    """))))}
            </div>
            """))
        {
            Above = Above(letter),
            Beside = Element.Badge(letter.Status),
        };
    }

    static bool MayEdit(ConsoleRequest request, DeadLetterDetail detail) =>
        request.May(Scopes.DeadLettersReveal) && request.May(Scopes.DeadLettersWrite) && detail is { Payload: not null, BodyCut: false, EditedInto: null }
        && detail.Letter.Status is (DeadLetterStatus.Parked or DeadLetterStatus.FailedAgain or DeadLetterStatus.Quarantined);

    static Html Notices(DeadLetterDetail detail) => Html.Of($"""
        {(detail.EditedFrom is { } from ? Element.Notice("busy", Html.Of($"""An edited copy of <a href="{DeadLetterPages.Letter(from)}">this message</a>.""")) : Html.Nothing)}
        {(detail.EditedInto is { } into ? Element.Notice("busy", Html.Of($"""<a href="{DeadLetterPages.Letter(into)}">An edited copy</a> stands in for it.""")) : Html.Nothing)}
        {(detail.BodyCut ? Element.Notice("warn", Html.Of($"It was larger than what is kept: only its beginning is here, and nothing replays it.")) : Html.Nothing)}
        {(detail.Letter.Status == DeadLetterStatus.Quarantined ? Element.Notice("warn", Html.Of($"Three replays failed, so no filter takes it any more. Restore it once you have put right why.")) : Html.Nothing)}
        """);

    static Html Exception(string? type, string? message, string? stack) => type is null && message is null && stack is null ? Html.Nothing : Element.Section("exception", "Exception", Html.Of($"""
        {(type is null ? Html.Nothing : Html.Of($"<p>{Element.Name(type)}</p>"))}
        {(message is null ? Html.Nothing : Html.Of($"<p><bdi>{message}</bdi></p>"))}
        {(stack is null ? Html.Nothing : Html.Of($"""<pre tabindex="0" aria-label="Stack">{stack}</pre>"""))}
        """));

    static Html Edit(IReadOnlyList<EditedField>? edit) => edit is null ? Html.Nothing : Element.Section("edit", "What was edited", Element.Table("What was edited", ["Where", "Before", "After"], edit.Select(field => Html.Of($"""
        <tr><th scope="row"><code>{field.Path}</code></th><td><code class="old">{field.Before}</code></td><td><code class="new">{field.After}</code></td></tr>

        """))));

    static Html Headers(IEnumerable<(string Name, string Value)> headers) => Element.Table("Headers", ["Name", "Value"], headers.Select(header => Html.Of($"""
        <tr><th scope="row"><code>{header.Name}</code></th><td class="wide">{(header.Value.Contains('\n', StringComparison.Ordinal) ? Html.Of($"""<pre tabindex="0" aria-label="{header.Name}">{header.Value}</pre>""") : Html.Of($"<code>{header.Value}</code>"))}</td></tr>

        """)));

    static Html ReplayLink(Guid? id) => id is { } replay ? Html.Of($"""<a href="{ReplayPages.Path}/{replay}"><code>{ReplayPages.Name(replay)}</code></a>""") : Html.Of($"""<span class="muted">–</span>""");

    static string Indented(JsonElement element) => JsonSerializer.Serialize(JsonNode.Parse(element.GetRawText()), Readable);

    static async Task<IResult> ConfirmRevealAsync(ConsoleRequest request) => await FindAsync(request) is { } detail
        ? Confirmation(request, detail.Letter, "Reveal the message", "reveal", "Reveal", Html.Of($"""
            <p>You are about to see this message <strong>unmasked</strong>: payload, headers, exception and stack. They may hold personal data and secrets.</p>
            <p>The audit log will say that <code>{request.Caller.Actor}</code> saw it, and when.</p>
            """))
        : Errors.NotFound(request);

    static async Task<IResult> RevealAsync(ConsoleRequest request, ConsoleForm form)
    {
        if (await FindAsync(request) is not { } detail)
            return Errors.NotFound(request);

        var (outcome, revealed) = await request.Service<DeadLetterCommands>().RevealAsync(detail.Letter.DeadLetterId, request.Caller, form.OperationId(request), request.Aborted);
        if (revealed is null)
            return outcome.Answer(request, DeadLetterPages.Letter(detail.Letter.DeadLetterId), _ => Over(request, detail.Letter));

        return new ConsolePage(request, $"{Name(detail.Letter)}, unmasked", Html.Of($"""
            {Element.Notice("warn", Html.Of($"""This is not masked. The audit log says that {request.Caller.Actor} saw it. It is shown this once: <a href="{DeadLetterPages.Letter(detail.Letter.DeadLetterId)}">back to the masked message</a>"""))}
            {Exception(detail.Letter.ExceptionType, revealed.ExceptionMessage, revealed.Stack)}
            {Element.Section("payload", "Payload", Html.Of($"""<pre class="wrap" tabindex="0" aria-labelledby="payload">{(revealed.Payload is { } payload ? Indented(payload) : revealed.PayloadBase64)}</pre>{(revealed.Payload is null ? Html.Of($"""<p class="hint">It is no JSON: these are its bytes in Base64.</p>""") : Html.Nothing)}"""))}
            {Element.Section("headers", "Headers", Headers(revealed.Headers.EnumerateObject().Select(header => (header.Name, header.Value.ToString()))))}
            """))
        {
            Above = Below(detail.Letter),
        };
    }

    static ConsolePage Over(ConsoleRequest request, DeadLetterItem letter) => Errors.Refused(request,
        new Problem(StatusCodes.Status409Conflict, "reveal_expired", "", "This look is over: it was audited too long ago. Ask again, from the message's page; each look is audited."),
        DeadLetterPages.Letter(letter.DeadLetterId));

    static async Task<IResult> ConfirmEditAsync(ConsoleRequest request) => await FindAsync(request) is { } detail
        ? MayEdit(request, detail)
            ? Confirmation(request, detail.Letter, "Edit a copy of the message", "edit", "Show and edit", Html.Of($"""
                <p>To edit the message you have to see it <strong>unmasked</strong>. The audit log will say that <code>{request.Caller.Actor}</code> saw it.</p>
                <p>The message itself stays as it is and is discarded; the copy gets a message id of its own, and waits to be replayed. What differs is stored.</p>
                """))
            : Errors.Refused(request, new Problem(StatusCodes.Status409Conflict, "not_editable", "", "This message can't be edited: it is on its way, resolved, discarded, cut, no JSON, or your key may not replay."),
                DeadLetterPages.Letter(detail.Letter.DeadLetterId))
        : Errors.NotFound(request);

    static async Task<IResult> EditAsync(ConsoleRequest request, ConsoleForm form)
    {
        if (!request.May(Scopes.DeadLettersWrite))
            return Errors.InsufficientScope(request, Scopes.DeadLettersWrite);
        if (await FindAsync(request) is not { } detail)
            return Errors.NotFound(request);

        var (id, commands) = (detail.Letter.DeadLetterId, request.Service<DeadLetterCommands>());
        if (form.Raw("message") is { } text)
        {
            var body = new JsonObject { ["reason"] = form["reason"] };
            if (JsonObjectBody.Parse(System.Text.Encoding.UTF8.GetBytes(text)) is not { } message)
                return EditForm(request, detail.Letter, text, form["reason"], "It is not a JSON object, or a field stands in it twice.");

            using (message)
            {
                body["message"] = JsonNode.Parse(message.RootElement.GetRawText());
                if (DeadLetterRules.Edit(JsonSerializer.SerializeToElement(body, DeadLetterJson.Default.JsonObject), out var errors) is not { } edit)
                    return EditForm(request, detail.Letter, text, form["reason"], string.Join(' ', errors.Values.SelectMany(messages => messages)));

                var edited = await commands.EditAsync(id, edit, request.Caller, form.OperationId(request), request.Aborted);
                // What was typed is not lost with the refusal.
                if (edited is OperationOutcome.Completed({ Problem: { } problem }))
                    return EditForm(request, detail.Letter, text, form["reason"], problem.Detail, problem.Status);

                return edited.Answer(request, DeadLetterPages.Letter(id), operation =>
                    new SeeOther(DeadLetterPages.Letter(operation.Result!.Value.Deserialize(DeadLetterJson.Default.EditResult)!.DeadLetterId)));
            }
        }

        var (outcome, revealed) = await commands.RevealAsync(id, request.Caller, form.OperationId(request), request.Aborted);
        return revealed?.Payload is { ValueKind: JsonValueKind.Object } payload && payload.TryGetProperty("message", out var now)
            ? EditForm(request, detail.Letter, Indented(now), null, null)
            : outcome.Answer(request, DeadLetterPages.Letter(id), _ => Over(request, detail.Letter));
    }

    static ConsolePage EditForm(ConsoleRequest request, DeadLetterItem letter, string text, string? reason, string? mistake, int refused = StatusCodes.Status400BadRequest) => new(request, "Edit a copy of the message", Html.Of($"""
        {(mistake is null ? Html.Nothing : Html.Of($"""<div class="notice bad" role="alert"><p>{mistake}</p></div>"""))}
        <section aria-label="Edit">
        <form method="post" action="{DeadLetterPages.Letter(letter.DeadLetterId)}/edit" class="command wide">
        {Element.Token(request)}{Element.OperationKey()}
        <div class="field"><label for="message">The message as it shall be (JSON)</label><textarea id="message" name="message" spellcheck="false" rows="20">{text}</textarea></div>
        {Element.Input("reason", "Reason", reason, DeadLetterRules.ReasonMost, "For the audit log. No personal data.", required: true)}
        <p class="buttons"><button type="submit" class="main">Make the copy</button><a class="button" href="{DeadLetterPages.Letter(letter.DeadLetterId)}">Cancel</a></p>
        </form>
        </section>
        """))
    {
        Above = Below(letter),
        Status = mistake is null ? StatusCodes.Status200OK : refused,
    };

    static ConsolePage Confirmation(ConsoleRequest request, DeadLetterItem letter, string title, string verb, string button, Html what) => new(request, title, Html.Of($"""
        <section aria-label="Confirmation">
        {what}
        {Element.Form(request, $"{DeadLetterPages.Letter(letter.DeadLetterId)}/{verb}", Html.Nothing, button, DeadLetterPages.Letter(letter.DeadLetterId))}
        </section>
        """))
    {
        Above = Below(letter),
    };
}
