using Pulse.Contracts.Keys;
using Pulse.Ingress.Console;
using Pulse.Ingress.Http;

namespace Pulse.Ingress.Admin;

/// <summary>The console's organizations.</summary>
static class OrganizationPages
{
    public const string Path = ConsolePath.Root + "/organizations";

    const int ChangesShown = 20;

    public static string Of(string orgId) => $"{Path}/{orgId}";

    public static void Map(IEndpointRouteBuilder routes)
    {
        routes.MapPage(Path, Scopes.OrgsRead, ListAsync);
        routes.MapPage(Path + "/{org_id}", Scopes.OrgsRead, ShowAsync);
    }

    static async Task<IResult> ListAsync(ConsoleRequest request)
    {
        if (AdminRules.Organizations(request.Http.Request.Query, out var errors) is not { } query)
            return Errors.Refused(request, ListQuery.Invalid(errors), Path);

        var page = await AdminEndpoints.PageAsync(request.Database, query, request.Aborted);
        (string, string?)[] filter = [("q", query.Search), ("status", query.Status)];
        return new ConsolePage(request, "Organizations", Html.Of($"""
            <form method="get" action="{Path}" class="filters" role="search" aria-label="Find organizations">
            {Element.Input("q", "Name or owner's email begins with", query.Search, AdminRules.SearchMost)}
            {Element.Select("status", "Status", "any", AdminRules.Statuses.Select(status => (status, status.Replace('_', ' '))), query.Status)}
            <button type="submit">Find</button>
            </form>
            {(page.Items.Count == 0 ? None(query) : Element.Table("Organizations", ["Name", "Status", "Owner", "Id", "Created"], page.Items.Select(organization => Row(request, organization))))}
            {Element.Pager(
                request.Query("cursor") is null ? null : ConsolePath.With(Path, filter),
                page.NextCursor is { } cursor ? ConsolePath.With(Path, [.. filter, ("cursor", cursor)]) : null)}
            """));
    }

    static Html None(OrganizationQuery query) => query.Search is null && query.Status is null
        ? Element.Empty("There are no organizations yet.", Html.Of($"The first signup makes one."))
        : Element.Empty("No organization is like this.", Html.Of($"""A search finds how a name or an email begins, not what is in its middle. <a href="{Path}">Look at all of them</a>"""));

    static Html Row(ConsoleRequest request, Organization organization) => Html.Of($"""
        <tr><th scope="row"><a href="{Of(organization.OrgId)}"><bdi>{organization.Name}</bdi></a></th><td>{Standing(organization)}</td>
        <td>{Element.Text(organization.OwnerEmail)}</td><td><code>{organization.OrgId}</code></td><td>{Element.Time(organization.CreatedAt, request.Now)}</td></tr>

        """);

    static Html Standing(Organization organization) => organization.LegalHoldAt is null
        ? Element.Badge(organization.Status)
        : Html.Of($"""{Element.Badge(organization.Status)} {Element.Badge("legal hold", "warn")}""");

    static async Task<IResult> ShowAsync(ConsoleRequest request)
    {
        if (await FindAsync(request) is not ({ } id, { } organization))
            return Errors.NotFound(request);

        var panels = new List<Html>();
        foreach (var panel in request.Http.RequestServices.GetServices<OrganizationPanel>().Where(panel => request.May(panel.Scope)).OrderBy(panel => panel.Order))
        {
            if (await panel.Render(request, id) is { IsNothing: false } html)
                panels.Add(Element.Section($"panel-{panel.Order}", panel.Title, html));
        }

        return new ConsolePage(request, organization.Name, Html.Of($"""
            {(request.Query("done") is { } done && OrganizationVerbPages.Done(done) is { } sentence ? Element.Notice("good", Html.Of($"{sentence}")) : Html.Nothing)}
            {OrganizationVerbPages.Buttons(request, id, organization)}
            {Element.Section("lifecycle", "Lifecycle", Element.Fields(
                ("Status", Standing(organization)), ("Id", Element.Code(organization.OrgId)), ("Owner", Element.Text(organization.OwnerEmail)),
                ("Created", Element.Time(organization.CreatedAt, request.Now)),
                ("Suspended", When(request, organization.SuspendedAt)), ("Because", Element.Text(organization.SuspendReason)),
                ("Deletion asked for", When(request, organization.DeletionRequestedAt)), ("Retention", organization.RetentionDays is { } days ? Html.Of($"{days} days") : Html.Nothing),
                ("Purged after", When(request, organization.PurgeAfter)),
                ("Legal hold since", When(request, organization.LegalHoldAt)), ("Held because", Element.Text(organization.LegalHoldReason))))}
            {Html.All(panels)}
            {await ChangesAsync(request, id)}
            """))
        {
            Above = [("Organizations", Path)],
            Beside = Standing(organization),
        };
    }

    static async Task<Html> ChangesAsync(ConsoleRequest request, Guid id)
    {
        if (!request.May(Scopes.AuditRead) || await AuditTable.ListAsync(request.Database, id, new AuditQuery(long.MaxValue, ChangesShown), request.Aborted) is not { } entries)
            return Html.Nothing;

        return Element.Section("changes", "What was changed", entries.Count == 0
            ? Element.Empty("Nothing was changed yet.", Html.Of($"What operators, Stripe and the clock change stands here, with who did it."))
            : Html.Of($"""
                {AuditPages.Table(request, "What was changed", entries.Take(ChangesShown), withOrganization: false)}
                {(entries.Count > ChangesShown ? Html.Of($"""<p class="hint">The last {ChangesShown} changes. <code>GET /api/admin/orgs/{OrgAddress.Text(id)}/audit</code> tells all of them.</p>""") : Html.Nothing)}
                """));
    }

    public static async Task<(Guid Id, Organization? Organization)> FindAsync(ConsoleRequest request) =>
        OrgAddress.Parse(request.Route("org_id")) is { } id ? (id, await OrganizationTable.FindAsync(request.Database, id, request.Aborted)) : default;

    static Html When(ConsoleRequest request, DateTime? at) => at is null ? Html.Nothing : Element.Time(at, request.Now);
}
