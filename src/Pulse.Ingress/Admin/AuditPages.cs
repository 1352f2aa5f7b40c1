using System.Text.Encodings.Web;
using System.Text.Json;
using Pulse.Contracts.Keys;
using Pulse.Ingress.Console;
using Pulse.Ingress.Http;

namespace Pulse.Ingress.Admin;

/// <summary>The console's audit log.</summary>
static class AuditPages
{
    public const string Path = ConsolePath.Root + "/audit";

    const int ValueMost = 120;

    static readonly JsonSerializerOptions Readable = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    public static void Map(IEndpointRouteBuilder routes) => routes.MapPage(Path, Scopes.AuditRead, ShowAsync);

    static async Task<IResult> ShowAsync(ConsoleRequest request)
    {
        if (AdminRules.Audit(request.Http.Request.Query, out var errors) is not { } query)
            return Errors.Refused(request, ListQuery.Invalid(errors), Path);

        var page = await AdminEndpoints.WholeAuditPageAsync(request.Database, query, request.Aborted);
        return new ConsolePage(request, "Audit", Html.Of($"""
            <p class="muted">Who changed what, the newest first. Each entry's hash covers the one before it: <code>./pulse audit verify</code> finds what was altered.</p>
            {(page.Items.Count == 0
                ? Element.Empty("Nothing was changed yet.", Html.Of($"What operators, Stripe and the clock change stands here, with who did it."))
                : Table(request, "Audit log", page.Items, withOrganization: true))}
            {Element.Pager(query.Before == long.MaxValue ? null : Path, page.NextCursor is { } cursor ? ConsolePath.With(Path, ("cursor", cursor)) : null)}
            """));
    }

    /// <summary>Entries, with what differs between before and after.</summary>
    public static Html Table(ConsoleRequest request, string caption, IEnumerable<AuditEntry> entries, bool withOrganization) => Element.Table(
        caption, ["When", "Who", "What", .. withOrganization ? ["Organization"] : Array.Empty<string>(), "Changed", "Cause"],
        entries.Select(entry => Html.Of($"""
            <tr><td>{Element.Time(entry.At, request.Now)}</td><td class="tight"><code>{entry.Actor}</code></td><th scope="row">{entry.Action.Replace('_', ' ')}</th>
            {(withOrganization ? Html.Of($"<td>{Organization(request, entry.OrgId)}</td>") : Html.Nothing)}
            <td class="wide">{Changes(entry)}</td><td class="tight"><code class="muted" title="{entry.Cause}">{Short(entry.Cause)}</code></td></tr>

            """)));

    static Html Organization(ConsoleRequest request, string? orgId) => orgId is null
        ? Html.Of($"""<span class="muted">–</span>""")
        : request.May(Scopes.OrgsRead)
            ? Html.Of($"""<a href="{OrganizationPages.Of(orgId)}"><code title="{orgId}">{(orgId.Length == 36 ? "…" + orgId[^12..] : orgId)}</code></a>""")
            : Element.Code(orgId);

    // Of an id its end, which is random; its beginning is the time.
    static string? Short(string? cause) => cause is { Length: > 36 } && Guid.TryParseExact(cause[^36..], "D", out _) ? $"{cause[..^36]}…{cause[^12..]}" : cause;

    static Html Changes(AuditEntry entry) => Html.All(Differences(entry.Before, entry.After).Select(change => Html.Of($"""
        <div><span class="muted">{change.Name}</span> {(change.Before is null ? Html.Nothing : Html.Of($"""<span class="hidden">was </span><code class="old">{change.Before}</code> """))}{(change.After is null ? Html.Nothing : Html.Of($"""<span class="hidden">is now </span><code class="new">{change.After}</code>"""))}</div>
        """)));

    /// <summary>The fields that differ; null for one that is not there.</summary>
    internal static IEnumerable<(string Name, string? Before, string? After)> Differences(JsonElement? before, JsonElement? after)
    {
        var (was, now) = (Fields(before), Fields(after));
        return was.Keys.Union(now.Keys)
            .Select(name => (name, Before: was.GetValueOrDefault(name), After: now.GetValueOrDefault(name)))
            .Where(change => change.Before != change.After);
    }

    static Dictionary<string, string?> Fields(JsonElement? element) => element is { ValueKind: JsonValueKind.Object } fields
        ? fields.EnumerateObject().Where(field => field.Value.ValueKind != JsonValueKind.Null).ToDictionary(field => field.Name, field => (string?)Text(field.Value))
        : element is { } other && other.ValueKind != JsonValueKind.Null ? new() { [""] = Text(other) } : [];

    static string Text(JsonElement value)
    {
        var text = value.ValueKind == JsonValueKind.String ? value.GetString()! : JsonSerializer.Serialize(value, Readable);
        return text.Length > ValueMost ? text[..ValueMost] + "…" : text;
    }
}
