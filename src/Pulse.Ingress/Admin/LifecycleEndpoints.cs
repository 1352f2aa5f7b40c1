using System.Text.Json;
using Microsoft.AspNetCore.Http.HttpResults;
using Npgsql;
using Pulse.Contracts.Keys;
using Pulse.Ingress.Http;
using Pulse.Ingress.Keys;
using Pulse.Ingress.Operations;

namespace Pulse.Ingress.Admin;

/// <summary>An operator's verbs on an organization. Each becomes a command to the worker, which decides under the organization's lock.</summary>
static class LifecycleEndpoints
{
    const string Path = "/api/admin/orgs/{org_id}";

    public static void AddLifecycle(this IServiceCollection services)
    {
        foreach (var verb in OrganizationVerb.All)
            services.AddSingleton(verb.Kind);
        services.AddSingleton(ReaperEndpoints.Confirm);
    }

    public static void MapLifecycle(this IEndpointRouteBuilder routes)
    {
        routes.MapPost(Path + "/suspend", Does(OrganizationVerb.Suspend))
            .RequireScope(Scopes.OrgsWrite)
            .DescribeVerb("suspend", "Suspends an organization: it may do nothing until it is unsuspended.", "reason: up to 500 characters, no personal data.");
        routes.MapPost(Path + "/unsuspend", Does(OrganizationVerb.Unsuspend))
            .RequireScope(Scopes.OrgsWrite)
            .DescribeVerb("unsuspend", "Lifts a suspension.", null);
        routes.MapPost(Path + "/soft-delete", Does(OrganizationVerb.SoftDelete))
            .RequireScope(Scopes.OrgsWrite)
            .DescribeVerb("softDelete", "Deletes an organization: purged when its retention is over, restorable until then.", "retention_days: 1 to 3650, 30 when it is left out. export: false lets it be purged without an export.");
        routes.MapPost(Path + "/restore", Does(OrganizationVerb.Restore))
            .RequireScope(Scopes.OrgsWrite)
            .DescribeVerb("restore", "Restores a deleted organization to the status that it had before.", null);
        routes.MapPost(Path + "/legal-hold", Does(OrganizationVerb.Hold))
            .RequireScope(Scopes.OrgsWrite)
            .DescribeVerb("placeLegalHold", "Forbids that an organization is purged.", "reason: required, up to 500 characters, no personal data.");
        routes.MapDelete(Path + "/legal-hold", Does(OrganizationVerb.Release))
            .RequireScope(Scopes.OrgsWrite)
            .DescribeVerb("releaseLegalHold", "Allows again that an organization is purged.", null);
    }

    delegate Task<Results<Ok<Organization>, Accepted<OperationStatus>, ProblemHttpResult>> Verb(
        HttpContext context, string org_id, NpgsqlDataSource dataSource, OperationIntake intake, TimeProvider clock, CancellationToken cancellationToken);

    static Verb Does(OrganizationVerb verb) =>
        (context, org_id, dataSource, intake, clock, cancellationToken) => DoAsync(context, org_id, dataSource, intake, clock, verb, cancellationToken);

    static async Task<Results<Ok<Organization>, Accepted<OperationStatus>, ProblemHttpResult>> DoAsync(
        HttpContext context, string address, NpgsqlDataSource dataSource, OperationIntake intake, TimeProvider clock, OrganizationVerb verb, CancellationToken cancellationToken)
    {
        // Looked at here so that a mistyped id does not wait for a worker. Where the organization stands, the worker sees under its lock.
        if (OrgAddress.Parse(address) is not { } id || await OrganizationTable.FindAsync(dataSource, id, cancellationToken) is not { } organization)
            return Problem.NotFound().On(context);
        if (id == OrgAddress.DefaultId)
            return OrganizationVerb.OwnIsImmutable().On(context);

        var (body, unreadable) = await OptionalBodyAsync(context);
        using (body)
        {
            if (unreadable is not null)
                return unreadable.On(context);
            if (verb.Parse(body?.RootElement, out var invalid) is not { } request)
                return invalid!.On(context);

            var caller = Caller.Of(context);
            if (OperationKey.Read(context.Request.Headers[OperationKey.Header], caller, out var keyedId) is { } unkeyed)
                return unkeyed.On(context);

            var outcome = await verb.Submit(intake, id, request, clock.GetUtcNow(), caller, keyedId, cancellationToken);
            // The worker tells how it stands now; who it is has not changed.
            return outcome.Answer(context, AdminJson.Default.LifecycleState, organization.With);
        }
    }

    // A verb may come without a body at all.
    static async ValueTask<(JsonDocument? Body, Problem? Refusal)> OptionalBodyAsync(HttpContext context) =>
        context.Request.ContentLength is null or 0 && context.Request.ContentType is null ? (null, null) : await JsonObjectBody.ReadAsync(context);
}
