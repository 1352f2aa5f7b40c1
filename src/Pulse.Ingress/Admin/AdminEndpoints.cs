using Microsoft.AspNetCore.Http.HttpResults;
using Npgsql;
using Pulse.Contracts.Keys;
using Pulse.Ingress.Http;
using Pulse.Ingress.Keys;

namespace Pulse.Ingress.Admin;

/// <summary>Organizations, and what was changed about them.</summary>
static class AdminEndpoints
{
    const string Path = "/api/admin/orgs";

    public static void AddAdmin(this IServiceCollection services) =>
        services.ConfigureHttpJsonOptions(json => json.SerializerOptions.TypeInfoResolverChain.Insert(0, AdminJson.Default));

    public static void MapAdmin(this IEndpointRouteBuilder routes)
    {
        routes.MapGet(Path, ListAsync).RequireScope(Scopes.OrgsRead).DescribeList();
        routes.MapGet(Path + "/{org_id}", FindAsync).RequireScope(Scopes.OrgsRead).DescribeFind();
        routes.MapGet(Path + "/{org_id}/audit", AuditAsync).RequireScope(Scopes.AuditRead).DescribeAudit();
    }

    static async Task<Results<Ok<Page<Organization>>, ProblemHttpResult>> ListAsync(HttpContext context, NpgsqlDataSource dataSource, CancellationToken cancellationToken)
    {
        if (AdminRules.Organizations(context.Request.Query, out var errors) is not { } query)
            return ListQuery.Invalid(errors).On(context);

        var rows = await OrganizationTable.ListAsync(dataSource, query, cancellationToken);
        return TypedResults.Ok(Page<Organization>.Of(rows, query.Limit, row => row.Organization, row => row.At.ToCursor()));
    }

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
}
