using Microsoft.AspNetCore.Http.HttpResults;
using Npgsql;
using Pulse.Contracts.Keys;
using Pulse.Ingress.Console;
using Pulse.Ingress.Http;
using Pulse.Ingress.Keys;

namespace Pulse.Ingress.Admin;

/// <summary>Organizations, and what was changed about them.</summary>
static class AdminEndpoints
{
    const string Path = "/api/admin/orgs";

    public static void AddAdmin(this IServiceCollection services)
    {
        services.AddSingleton(new ConsoleSection(40, "Organizations", OrganizationPages.Path, Scopes.OrgsRead));
        services.AddSingleton(new ConsoleSection(50, "Audit", AuditPages.Path, Scopes.AuditRead));
        services.ConfigureHttpJsonOptions(json => json.SerializerOptions.TypeInfoResolverChain.Insert(0, AdminJson.Default));
    }

    public static void MapAdmin(this IEndpointRouteBuilder routes)
    {
        routes.MapGet(Path, ListAsync).RequireScope(Scopes.OrgsRead).DescribeList();
        routes.MapGet(Path + "/{org_id}", FindAsync).RequireScope(Scopes.OrgsRead).DescribeFind();
        routes.MapGet(Path + "/{org_id}/audit", AuditAsync).RequireScope(Scopes.AuditRead).DescribeAudit();
        routes.MapGet("/api/admin/audit", WholeAuditAsync).RequireScope(Scopes.AuditRead).DescribeWholeAudit();
        OrganizationPages.Map(routes);
        OrganizationVerbPages.Map(routes);
        AuditPages.Map(routes);
    }

    static async Task<Results<Ok<Page<Organization>>, ProblemHttpResult>> ListAsync(HttpContext context, NpgsqlDataSource dataSource, CancellationToken cancellationToken)
    {
        if (AdminRules.Organizations(context.Request.Query, out var errors) is not { } query)
            return ListQuery.Invalid(errors).On(context);

        return TypedResults.Ok(await PageAsync(dataSource, query, cancellationToken));
    }

    /// <summary>A part of the list.</summary>
    public static async Task<Page<Organization>> PageAsync(NpgsqlDataSource dataSource, OrganizationQuery query, CancellationToken cancellationToken) =>
        Page<Organization>.Of(await OrganizationTable.ListAsync(dataSource, query, cancellationToken), query.Limit, row => row.Organization, row => row.At.ToCursor());

    static async Task<Results<Ok<Organization>, ProblemHttpResult>> FindAsync(
        HttpContext context, string org_id, NpgsqlDataSource dataSource, CancellationToken cancellationToken) =>
        OrgAddress.Parse(org_id) is { } id && await OrganizationTable.FindAsync(dataSource, id, cancellationToken) is { } organization
            ? TypedResults.Ok(organization)
            : Problem.NotFound().On(context);

    static async Task<Results<Ok<Page<AuditEntry>>, ProblemHttpResult>> AuditAsync(
        HttpContext context, string org_id, NpgsqlDataSource dataSource, CancellationToken cancellationToken)
    {
        if (AdminRules.Audit(context.Request.Query, out var errors) is not { } query)
            return ListQuery.Invalid(errors).On(context);

        return OrgAddress.Parse(org_id) is { } id && await AuditTable.ListAsync(dataSource, id, query, cancellationToken) is { } entries
            ? TypedResults.Ok(Page<AuditEntry>.Of(entries, query.Limit, entry => entry, AuditTable.CursorOf))
            : Problem.NotFound().On(context);
    }

    static async Task<Results<Ok<Page<AuditEntry>>, ProblemHttpResult>> WholeAuditAsync(HttpContext context, NpgsqlDataSource dataSource, CancellationToken cancellationToken) =>
        AdminRules.Audit(context.Request.Query, out var errors) is { } query
            ? TypedResults.Ok(await WholeAuditPageAsync(dataSource, query, cancellationToken))
            : ListQuery.Invalid(errors).On(context);

    public static async Task<Page<AuditEntry>> WholeAuditPageAsync(NpgsqlDataSource dataSource, AuditQuery query, CancellationToken cancellationToken) =>
        Page<AuditEntry>.Of(await AuditTable.AllAsync(dataSource, query, cancellationToken), query.Limit, entry => entry, AuditTable.CursorOf);
}
