using System.Globalization;

namespace Pulse.Ingress.Console;

/// <summary>What pages are made of.</summary>
static class Element
{
    /// <summary>Of every form.</summary>
    public static Html Token(ConsoleRequest request) => Html.Of($"""<input type="hidden" name="{ConsoleForm.TokenField}" value="{request.FormToken}">""");

    /// <summary>Of a form that changes something: sent twice, it is the same operation.</summary>
    public static Html OperationKey() => Html.Of($"""<input type="hidden" name="{ConsoleForm.KeyField}" value="{Guid.NewGuid().ToString("N")}">""");

    /// <summary>A status. What it is stands there; the colour only helps the eye.</summary>
    public static Html Badge(string status) => Badge(status.Replace('_', ' '), Tone(status));

    public static Html Badge(string text, string tone) => Html.Of($"""<span class="badge {tone}">{text}</span>""");

    public static string Tone(string status) => status switch
    {
        "active" or "resolved" or "done" or "completed" or "succeeded" or "holds" or "in_step" => "good",
        "trial" or "queued" or "running" or "canary" or "replayed" or "planned" or "previewed" => "busy",
        "grace" or "parked" or "paused" or "pending" or "behind" or "stopping" => "warn",
        "suspended" or "failed_again" or "quarantined" or "expired" or "refused" or "stopped" or "failed" or "broken" or "pending_deletion" => "bad",
        _ => "idle",
    };

    /// <summary>A time, and how long ago it is or how long it takes yet.</summary>
    public static Html Time(DateTime? at, DateTimeOffset now) => at is not { } time
        ? Html.Of($"""<span class="muted">–</span>""")
        : Html.Of($"""<time datetime="{time.ToString("yyyy-MM-dd'T'HH:mm:ss'Z'", CultureInfo.InvariantCulture)}">{time.ToString("yyyy-MM-dd HH:mm:ss", CultureInfo.InvariantCulture)}</time> <span class="muted ago">{Ago(now.UtcDateTime - time)}</span>""");

    internal static string Ago(TimeSpan since)
    {
        var length = since.Duration();
        var text = length.TotalSeconds < 60 ? $"{(int)length.TotalSeconds} s"
            : length.TotalMinutes < 60 ? $"{(int)length.TotalMinutes} min"
            : length.TotalHours < 48 ? $"{(int)length.TotalHours} h"
            : $"{(int)length.TotalDays} days";
        return since < TimeSpan.Zero ? $"in {text}" : $"{text} ago";
    }

    public static string Number(long value) => value.ToString("#,0", CultureInfo.InvariantCulture).Replace(',', '\u202F');

    /// <summary>A table that scrolls by itself where the window is narrow, by keys as well.</summary>
    /// <param name="caption">What a screen reader calls it.</param>
    /// <param name="columns">Their headings; one that begins with # is of numbers.</param>
    /// <param name="rows">Rows of cells.</param>
    public static Html Table(string caption, IReadOnlyList<string> columns, IEnumerable<Html> rows) => Html.Of($"""
        <div class="scroll" role="region" aria-label="{caption}" tabindex="0"><table>
        <caption class="hidden">{caption}</caption>
        <thead><tr>{Html.All(columns.Select(Heading))}</tr></thead>
        <tbody>
        {Html.All(rows)}
        </tbody>
        </table></div>
        """);

    static Html Heading(string column) => column.StartsWith('#')
        ? Html.Of($"""<th scope="col" class="number">{column[1..]}</th>""")
        : column.StartsWith('-') ? Html.Of($"""<th scope="col"><span class="hidden">{column[1..]}</span></th>""")
        : Html.Of($"""<th scope="col">{column}</th>""");

    /// <summary>Names and values.</summary>
    public static Html Fields(params IEnumerable<(string Name, Html Value)> fields) => Html.Of($"""
        <dl class="fields">{Html.All(fields.Where(field => !field.Value.IsNothing).Select(field => Html.Of($"""<div><dt>{field.Name}</dt><dd>{field.Value}</dd></div>""")))}</dl>
        """);

    public static Html Text(string? text) => string.IsNullOrEmpty(text) ? Html.Nothing : Html.Of($"""<bdi>{text}</bdi>""");

    public static Html Code(string? text) => string.IsNullOrEmpty(text) ? Html.Nothing : Html.Of($"""<code>{text}</code>""");

    /// <summary>A type's or a queue's name: a narrow column parts it between its words, not within them.</summary>
    public static Html Name(string? name) => string.IsNullOrEmpty(name) ? Html.Nothing : Html.Of($"<code>{Parted(name)}</code>");

    /// <summary>The same within prose.</summary>
    public static Html Parted(string name) => Html.All(Breaks(name));

    static IEnumerable<Html> Breaks(string name)
    {
        var start = 0;
        for (var at = 1; at <= name.Length; at++)
        {
            if (at == name.Length || name[at - 1] is '.' or ':' or '/' or '_' or '-' or '+' || (char.IsLower(name[at - 1]) && char.IsUpper(name[at])))
            {
                yield return at == name.Length ? Html.Of($"{name[start..at]}") : Html.Of($"{name[start..at]}<wbr>");
                start = at;
            }
        }
    }

    public static Html Section(string id, string title, Html body) => Html.Of($"""
        <section aria-labelledby="{id}"><h2 id="{id}">{title}</h2>
        {body}
        </section>
        """);

    /// <summary>Nothing is there: why, and what to do then.</summary>
    public static Html Empty(string what, Html todo) => Html.Of($"""<div class="empty"><p>{what}</p><p class="muted">{todo}</p></div>""");

    /// <summary>Read out when it appears.</summary>
    public static Html Notice(string tone, Html text) => Html.Of($"""<div class="notice {tone}" role="status"><p>{text}</p></div>""");

    /// <summary>To the parts of a list that come behind.</summary>
    public static Html Pager(string? first, string? next) => first is null && next is null
        ? Html.Nothing
        : Html.Of($"""
            <nav class="pager" aria-label="Parts of the list">{Link(first, "First")}{Link(next, "Next")}</nav>
            """);

    static Html Link(string? path, string text) => path is null ? Html.Nothing : Html.Of($"""<a class="button" href="{path}">{text}</a>""");

    /// <summary>A choice, with what is chosen now.</summary>
    public static Html Select(string id, string label, string everything, IEnumerable<(string Value, string Text)> options, string? chosen) => Html.Of($"""
        <div class="field"><label for="{id}">{label}</label><select id="{id}" name="{id}"><option value="">{everything}</option>
        {Html.All(options.Select(option => option.Value == chosen
            ? Html.Of($"""<option value="{option.Value}" selected>{option.Text}</option>""")
            : Html.Of($"""<option value="{option.Value}">{option.Text}</option>""")))}</select></div>
        """);

    /// <summary>A line of text to type.</summary>
    /// <param name="id">Also its name.</param>
    /// <param name="label">Its label.</param>
    /// <param name="value">What stands there already.</param>
    /// <param name="most">Characters.</param>
    /// <param name="hint">What stands below it.</param>
    /// <param name="required">Whether the browser insists on it.</param>
    public static Html Input(string id, string label, string? value, int most, string? hint = null, bool required = false) => Html.Of($"""
        <div class="field"><label for="{id}">{label}</label><input id="{id}" name="{id}" value="{value}" maxlength="{most}" autocomplete="off" {Flag(required ? "required" : null)}{Described(id, hint)}>{Hint(id, hint)}</div>
        """);

    public static Html NumberInput(string id, string label, string value, string least, string most, string step, string? hint = null) => Html.Of($"""
        <div class="field"><label for="{id}">{label}</label><input id="{id}" name="{id}" type="number" value="{value}" min="{least}" max="{most}" step="{step}"{Described(id, hint)}>{Hint(id, hint)}</div>
        """);

    static Html Flag(string? name) => name is null ? Html.Nothing : Html.Of($"{name} ");

    static Html Described(string id, string? hint) => hint is null ? Html.Nothing : Html.Of($""" aria-describedby="{id}-hint" """);

    static Html Hint(string id, string? hint) => hint is null ? Html.Nothing : Html.Of($"""<p class="hint" id="{id}-hint">{hint}</p>""");

    /// <summary>A form that changes something.</summary>
    /// <param name="request">Whose it is.</param>
    /// <param name="path">What it is sent to.</param>
    /// <param name="inside">Its fields.</param>
    /// <param name="button">What its button says: the verb.</param>
    /// <param name="back">Where Cancel leads; null: there is none.</param>
    /// <param name="dangerous">Whether the button looks so.</param>
    public static Html Form(ConsoleRequest request, string path, Html inside, string button, string? back = null, bool dangerous = false) => Html.Of($"""
        <form method="post" action="{path}" class="command">
        {Token(request)}{OperationKey()}
        {inside}
        <p class="buttons"><button type="submit" class="{(dangerous ? "danger" : "main")}">{button}</button>{(back is null ? Html.Nothing : Html.Of($"""<a class="button" href="{back}">Cancel</a>"""))}</p>
        </form>
        """);
}
