using Pulse.Contracts.DeadLetters;
using Pulse.Contracts.Keys;
using Pulse.Ingress.Console;
using Pulse.Ingress.Http;

namespace Pulse.Ingress.DeadLetters;

/// <summary>The console's lists: groups, the letters of one, and letters by any filter.</summary>
static class DeadLetterPages
{
    public const string Path = ConsolePath.Root + "/dead-letters";
    public const string Letters = Path + "/messages";

    public static string Group(string fingerprint) => $"{Path}/groups/{Uri.EscapeDataString(fingerprint)}";

    public static string Letter(Guid id) => $"{Letters}/{id}";

    public static void Map(IEndpointRouteBuilder routes)
    {
        routes.MapPage(Path, Scopes.DeadLettersRead, GroupsAsync);
        routes.MapPage(Path + "/groups/{fingerprint}", Scopes.DeadLettersRead, GroupAsync);
        routes.MapPage(Letters, Scopes.DeadLettersRead, ListAsync);
    }

    static async Task<IResult> GroupsAsync(ConsoleRequest request)
    {
        if (DeadLetterRules.Groups(request.Http.Request.Query, out var errors) is not { } query)
            return Errors.Refused(request, ListQuery.Invalid(errors), Path);

        var counts = await DeadLetterTable.CountsAsync(request.Database, request.Aborted);
        var page = await DeadLetterEndpoints.GroupPageAsync(request.Database, query, request.Aborted);
        (string, string?)[] filter = [("queue", query.Queue), ("status", query.Status)];
        return new ConsolePage(request, "Dead letters", Html.Of($"""
            {Counts(counts)}
            <form method="get" action="{Path}" class="filters" aria-label="Filter groups">
            {Element.Select("status", "With messages that are", "in any status", [("open", "not put right (open)"), .. Statuses], query.Status)}
            {Element.Select("queue", "Queue", "all queues", counts.Select(count => count.Queue).Distinct().Select(queue => (queue, queue)), query.Queue)}
            <button type="submit">Filter</button>
            <a class="button" href="{Letters}">All messages</a>
            </form>
            {(page.Items.Count == 0 ? NoGroups(query) : Element.Table("Groups of dead letters", ["Failure", "#Open", "#All", "Where they stand", "Queue", "Last failed", "First failed"], page.Items.Select(group => Row(request, group))))}
            {Element.Pager(
                query.After is null ? null : ConsolePath.With(Path, filter),
                page.NextCursor is { } cursor ? ConsolePath.With(Path, [.. filter, ("cursor", cursor)]) : null)}
            """));
    }

    static Html NoGroups(GroupQuery query) => query.Queue is null && query.Status is null
        ? Element.Empty("No message has failed.", Html.Of($"Messages that no consumer could handle are gathered here within seconds, from every <code>_error</code> and <code>_skipped</code> queue."))
        : Element.Empty("No group is like this.", Html.Of($"""Take a filter away, or <a href="{Path}">look at all groups</a>."""));

    static IEnumerable<(string, string)> Statuses => DeadLetterStatus.All.Select(status => (status, status.Replace('_', ' ')));

    static Html Counts(IReadOnlyList<(string Queue, string Status, long Letters)> counts) => Html.Of($"""
        <ul class="counts" aria-label="Messages by status">
        {Html.All(DeadLetterStatus.All
            .Select(status => (Status: status, Letters: counts.Where(count => count.Status == status).Sum(count => count.Letters)))
            .Where(status => status.Letters > 0)
            .Select(status => Html.Of($"""<li><strong>{Element.Number(status.Letters)}</strong><span>{status.Status.Replace('_', ' ')}</span></li>""")))}
        </ul>
        """);

    static Html Row(ConsoleRequest request, DeadLetterGroup group) => Html.Of($"""
        <tr><th scope="row" class="wide"><a href="{Group(group.Fingerprint)}">{Element.Parted(Short(group.ExceptionType) ?? Why(group.Reason))}</a><br><span class="muted">{Element.Parted(Short(group.MessageType) ?? "unknown type of message")}</span></th>
        <td class="number">{Element.Number(group.Open)}</td><td class="number">{Element.Number(group.Letters)}</td>
        <td>{Standing(group)}</td>
        <td>{string.Join(", ", group.Queues)}</td>
        <td>{Element.Time(group.LastFailedAt, request.Now)}</td><td>{Element.Time(group.FirstFailedAt, request.Now)}</td></tr>

        """);

    static Html Standing(DeadLetterGroup group) =>
        Html.All(group.Statuses.Select(status => Html.Of($"{Element.Badge($"{Element.Number(status.Value)} {status.Key.Replace('_', ' ')}", Element.Tone(status.Key))} ")));

    static async Task<IResult> GroupAsync(ConsoleRequest request)
    {
        if (await DeadLetterTable.GroupAsync(request.Database, request.Route("fingerprint"), request.Aborted) is not { } group)
            return Errors.NotFound(request);
        if (DeadLetterRules.Letters(request.Http.Request.Query, out var errors) is not { } query)
            return Errors.Refused(request, ListQuery.Invalid(errors), Group(group.Fingerprint));

        query = query with { Filter = query.Filter with { Fingerprint = group.Fingerprint } };
        var page = await DeadLetterEndpoints.PageAsync(request.Database, query, request.Aborted);
        var here = Group(group.Fingerprint);
        (string, string?)[] filter = [("status", Joined(query.Filter.Status))];
        return new ConsolePage(request, Short(group.ExceptionType) ?? Why(group.Reason), Html.Of($"""
            <section aria-label="What failed">
            {Element.Fields(
                ("Exception", Element.Name(group.ExceptionType)), ("Message type", Element.Name(group.MessageType)), ("Queue", Html.Of($"{string.Join(", ", group.Queues)}")),
                ("Why it is here", Html.Of($"{Why(group.Reason)}")),
                ("First failed", Element.Time(group.FirstFailedAt, request.Now)), ("Last failed", Element.Time(group.LastFailedAt, request.Now)),
                ("Where they stand", Standing(group)))}
            </section>
            {(group.Stack is null ? Html.Nothing : Element.Section("stack", "Where it was thrown", Html.Of($"""<pre tabindex="0" aria-labelledby="stack">{group.Stack}</pre>""")))}
            <h2 id="messages">Messages</h2>
            {StatusFilter(here, query)}
            {Table(request, page.Items, "The messages of this group", query.Filter, Html.Nothing)}
            {Element.Pager(query.After is null ? null : ConsolePath.With(here, filter), page.NextCursor is { } cursor ? ConsolePath.With(here, [.. filter, ("cursor", cursor)]) : null)}
            """))
        {
            Above = [("Dead letters", Path)],
            Beside = group.Open > 0 ? Element.Badge($"{Element.Number(group.Open)} open", "warn") : Element.Badge("nothing open", "good"),
        };
    }

    static Html StatusFilter(string here, LetterQuery query) => Html.Of($"""
        <form method="get" action="{here}" class="filters" aria-label="Filter messages">
        {Element.Select("status", "Status", "any", [("open", "not put right (open)"), .. Statuses], Chosen(query.Filter.Status))}
        <button type="submit">Filter</button>
        </form>
        """);

    static async Task<IResult> ListAsync(ConsoleRequest request)
    {
        if (DeadLetterRules.Letters(request.Http.Request.Query, out var errors) is not { } query)
            return Errors.Refused(request, ListQuery.Invalid(errors), Letters);

        var page = await DeadLetterEndpoints.PageAsync(request.Database, query, request.Aborted);
        var queues = (await DeadLetterTable.CountsAsync(request.Database, request.Aborted)).Select(count => count.Queue).Distinct();
        var filter = Fields(query.Filter).ToList();
        var none = filter.Count == 0
            ? Html.Nothing
            : Element.Empty("No message is like this.", Html.Of($"""Take a filter away, or <a href="{Letters}">look at all messages</a>."""));
        return new ConsolePage(request, "Messages", Html.Of($"""
            <form method="get" action="{Letters}" class="filters" aria-label="Filter messages">
            {Element.Select("status", "Status", "any", [("open", "not put right (open)"), .. Statuses], Chosen(query.Filter.Status))}
            {Element.Select("queue", "Queue", "all queues", queues.Select(queue => (queue, queue)), query.Filter.Queue)}
            {Element.Input("q", "Words that are shown", query.Filter.Text, DeadLetterRules.TextMost)}
            <button type="submit">Filter</button>
            <a class="button" href="{Letters}">Clear</a>
            {More(query.Filter)}
            </form>
            {Table(request, page.Items, "Messages", query.Filter, none)}
            {Element.Pager(query.After is null ? null : ConsolePath.With(Letters, filter), page.NextCursor is { } cursor ? ConsolePath.With(Letters, [.. filter, ("cursor", cursor)]) : null)}
            """))
        {
            Above = [("Dead letters", Path)],
        };
    }

    // Seldom needed, and a screen full of them where the window is narrow.
    static Html More(DeadLetterFilter filter)
    {
        var used = filter.MessageType is not null || filter.ExceptionType is not null || filter.OrgId is not null || filter.Id is not null || filter.FailedFrom is not null || filter.FailedUntil is not null;
        return Html.Of($"""
            {(used ? Html.Of($"<details open>") : Html.Of($"<details>"))}<summary>More filters</summary>
            <div class="filters">
            {Element.Input("type", "Message type", filter.MessageType, DeadLetterRules.TextMost)}
            {Element.Input("exception", "Exception", filter.ExceptionType, DeadLetterRules.TextMost)}
            {Element.Input("org", "Organization", filter.OrgId is { } org ? OrgAddress.Text(org) : null, 40)}
            {Element.Input("id", "Any id in it", filter.Id?.ToString(), 40)}
            {Element.Input("from", "Failed from (UTC)", Shown(filter.FailedFrom), 40)}
            {Element.Input("to", "Failed before (UTC)", Shown(filter.FailedUntil), 40)}
            </div></details>
            """);
    }

    static Html Table(ConsoleRequest request, IReadOnlyList<DeadLetterItem> letters, string caption, DeadLetterFilter filter, Html none)
    {
        if (letters.Count == 0)
        {
            return none.IsNothing
                ? Element.Empty("There are no messages here.", Html.Of($"""When a message fails for good it comes here within seconds. <a href="{Path}">To the groups</a>"""))
                : none;
        }

        var may = request.May(Scopes.DeadLettersWrite);
        var table = Element.Table(
            caption, [.. may ? ["-Chosen"] : Array.Empty<string>(), "Message", "Status", "Exception", "Organization", "#Failures", "#Replays", "Last failed"],
            letters.Select(letter => Row(request, letter, may)));
        return may
            ? Html.Of($"""
                <form method="post" action="{ReplayPages.Path}">
                {Element.Token(request)}{Element.OperationKey()}{SelectionPages.Hidden(filter)}
                {SelectionPages.Buttons}
                {table}
                </form>
                """)
            : table;
    }

    static Html Row(ConsoleRequest request, DeadLetterItem letter, bool may) => Html.Of($"""
        <tr>{(may ? Html.Of($"""<td><input type="checkbox" name="letter" value="{letter.DeadLetterId}" aria-label="Choose message {letter.MessageId}"></td>""") : Html.Nothing)}
        <th scope="row"><a href="{Letter(letter.DeadLetterId)}">{Element.Parted(Short(letter.MessageType) ?? "Message")}</a><br><code class="muted" title="{letter.MessageId}">{End(letter.MessageId.ToString())}</code></th>
        <td>{Element.Badge(letter.Status)}</td>
        <td class="wide">{Element.Parted(Short(letter.ExceptionType) ?? Why(letter.Reason))}<br><span class="muted">{Cut(letter.ExceptionMessage)}</span></td>
        <td class="tight">{(letter.OrgId is { } org ? Html.Of($"""<code title="{OrgAddress.Text(org)}">{End(OrgAddress.Text(org))}</code>""") : Html.Of($"""<span class="muted">–</span>"""))}</td>
        <td class="number">{letter.Occurrences}</td><td class="number">{letter.Attempts}</td>
        <td>{Element.Time(letter.LastFailedAt, request.Now)}</td></tr>

        """);

    // The end of an id, which is random: enough to tell two apart.
    static string End(string id) => id.Length == 36 ? "…" + id[^12..] : id;

    /// <summary>A type without its namespace.</summary>
    public static string? Short(string? type) => type is null ? null : type[(type.LastIndexOfAny(['.', ':']) + 1)..];

    /// <summary>How it came to be dead, for what has no exception.</summary>
    public static string Why(string reason) => reason switch
    {
        "fault" => "A consumer threw an exception",
        "skipped" => "No consumer for this type of message",
        "delivery_limit" => "Delivered too often: its consumer died with the process",
        _ => "Put there by something else than Pulse",
    };

    /// <summary>A filter as its query has it.</summary>
    public static IEnumerable<(string Name, string? Value)> Fields(DeadLetterFilter filter) => Given(
        ("status", Joined(filter.Status)), ("queue", filter.Queue), ("q", filter.Text), ("type", filter.MessageType), ("exception", filter.ExceptionType),
        ("fingerprint", filter.Fingerprint), ("reason", filter.Reason), ("org", filter.OrgId is { } org ? OrgAddress.Text(org) : null), ("id", filter.Id?.ToString()),
        ("from", Exact(filter.FailedFrom)), ("to", Exact(filter.FailedUntil)));

    static IEnumerable<(string Name, string? Value)> Given(params (string Name, string? Value)[] fields) => fields.Where(field => field.Value is not null);

    static string? Joined(IReadOnlyList<string>? statuses) => statuses is { Count: > 0 } ? string.Join(',', statuses) : null;

    static string? Chosen(IReadOnlyList<string>? statuses) => statuses switch
    {
        [var only] => only,
        { Count: 3 } => DeadLetterRules.Open,
        _ => null,
    };

    static string? Shown(DateTimeOffset? at) => at?.ToString("yyyy-MM-dd HH:mm:ss", System.Globalization.CultureInfo.InvariantCulture);

    static string? Exact(DateTimeOffset? at) => at?.ToString("yyyy-MM-dd'T'HH:mm:ss.FFFFFFF'Z'", System.Globalization.CultureInfo.InvariantCulture);

    static string? Cut(string? text) => text is { Length: > 160 } ? text[..160] + "…" : text;
}
