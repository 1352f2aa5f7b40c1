using System.Text.Json;
using Microsoft.AspNetCore.Http.HttpResults;
using Npgsql;
using Pulse.Contracts.Keys;
using Pulse.Contracts.Lifecycle;
using Pulse.Ingress.Http;
using Pulse.Ingress.Keys;
using Pulse.Ingress.Operations;

namespace Pulse.Ingress.Admin;

/// <summary>An operator's verbs on an organization. Each becomes a command to the worker, which decides under the organization's lock.</summary>
static class LifecycleEndpoints
{
    const string Path = "/api/admin/orgs/{org_id}";

    static readonly OperationKind Suspend = new("lifecycle.suspend", Scopes.OrgsWrite);
    static readonly OperationKind Unsuspend = new("lifecycle.unsuspend", Scopes.OrgsWrite);
    static readonly OperationKind SoftDelete = new("lifecycle.soft_delete", Scopes.OrgsWrite);
    static readonly OperationKind Restore = new("lifecycle.restore", Scopes.OrgsWrite);
    static readonly OperationKind Hold = new("lifecycle.hold", Scopes.OrgsWrite);
    static readonly OperationKind Release = new("lifecycle.release", Scopes.OrgsWrite);

    public static void AddLifecycle(this IServiceCollection services)
    {
        foreach (var kind in (ReadOnlySpan<OperationKind>)[Suspend, Unsuspend, SoftDelete, Restore, Hold, Release, ReaperEndpoints.Confirm])
            services.AddSingleton(kind);
    }

    public static void MapLifecycle(this IEndpointRouteBuilder routes)
    {
        routes.MapPost(Path + "/suspend", Does(Suspend, LifecycleRules.Suspend, (operation, org, at) => new SuspendOrganization { OperationId = operation, OrgId = org, AcceptedAt = at }))
            .RequireScope(Scopes.OrgsWrite)
            .DescribeVerb("suspend", "Suspends an organization: it may do nothing until it is unsuspended.", "reason: up to 500 characters, no personal data.");
        routes.MapPost(Path + "/unsuspend", Does(Unsuspend, LifecycleRules.Nothing, (operation, org, at) => new UnsuspendOrganization { OperationId = operation, OrgId = org, AcceptedAt = at }))
            .RequireScope(Scopes.OrgsWrite)
            .DescribeVerb("unsuspend", "Lifts a suspension.", null);
        routes.MapPost(Path + "/soft-delete", Does(SoftDelete, LifecycleRules.SoftDelete, (operation, org, at) => new SoftDeleteOrganization { OperationId = operation, OrgId = org, AcceptedAt = at }))
            .RequireScope(Scopes.OrgsWrite)
            .DescribeVerb("softDelete", "Deletes an organization: purged when its retention is over, restorable until then.", "retention_days: 1 to 3650, 30 when it is left out. export: false lets it be purged without an export.");
        routes.MapPost(Path + "/restore", Does(Restore, LifecycleRules.Nothing, (operation, org, at) => new RestoreOrganization { OperationId = operation, OrgId = org, AcceptedAt = at }))
            .RequireScope(Scopes.OrgsWrite)
            .DescribeVerb("restore", "Restores a deleted organization to the status that it had before.", null);
        routes.MapPost(Path + "/legal-hold", Does(Hold, LifecycleRules.Hold, (operation, org, at) => new PlaceLegalHold { OperationId = operation, OrgId = org, AcceptedAt = at }))
            .RequireScope(Scopes.OrgsWrite)
            .DescribeVerb("placeLegalHold", "Forbids that an organization is purged.", "reason: required, up to 500 characters, no personal data.");
        routes.MapDelete(Path + "/legal-hold", Does(Release, LifecycleRules.Nothing, (operation, org, at) => new ReleaseLegalHold { OperationId = operation, OrgId = org, AcceptedAt = at }))
            .RequireScope(Scopes.OrgsWrite)
            .DescribeVerb("releaseLegalHold", "Allows again that an organization is purged.", null);
    }

    delegate Task<Results<Ok<Organization>, Accepted<OperationStatus>, ProblemHttpResult>> Verb(
        HttpContext context, string org_id, NpgsqlDataSource dataSource, OperationIntake intake, TimeProvider clock, CancellationToken cancellationToken);

    static Verb Does<T>(OperationKind kind, LifecycleRules.Parse parse, Func<Guid, Guid, DateTimeOffset, T> command)
        where T : class =>
        (context, org_id, dataSource, intake, clock, cancellationToken) => DoAsync(context, org_id, dataSource, intake, clock, kind, parse, command, cancellationToken);

    static async Task<Results<Ok<Organization>, Accepted<OperationStatus>, ProblemHttpResult>> DoAsync<T>(
        HttpContext context, string address, NpgsqlDataSource dataSource, OperationIntake intake, TimeProvider clock,
        OperationKind kind, LifecycleRules.Parse parse, Func<Guid, Guid, DateTimeOffset, T> command, CancellationToken cancellationToken)
        where T : class
    {
        // Looked at here so that a mistyped id does not wait for a worker. Where the organization stands, the worker sees under its lock.
        if (OrgAddress.Parse(address) is not { } id || await OrganizationTable.FindAsync(dataSource, id, cancellationToken) is not { } organization)
            return Problem.NotFound().On(context);
        if (id == OrgAddress.DefaultId)
            return new Problem(StatusCodes.Status400BadRequest, "default_org_immutable", "The platform's own organization stays as it is",
                "It can be neither suspended nor deleted.").On(context);

        var (body, unreadable) = await OptionalBodyAsync(context);
        using (body)
        {
            if (unreadable is not null)
                return unreadable.On(context);
            if (parse(body?.RootElement, out var invalid) is not { } request)
                return invalid!.On(context);

            var caller = Caller.Of(context);
            if (OperationKey.Read(context.Request.Headers[OperationKey.Header], caller, out var keyedId) is { } unkeyed)
                return unkeyed.On(context);

            var accepted = clock.GetUtcNow();
            var outcome = await intake.SubmitAsync(
                kind, id, JsonSerializer.Serialize(request, AdminJson.Default.LifecycleRequest), operation => command(operation, id, accepted), caller, keyedId, cancellationToken);
            // The worker tells how it stands now; who it is has not changed.
            return outcome.Answer(context, AdminJson.Default.LifecycleState, organization.With);
        }
    }

    // A verb may come without a body at all.
    static async ValueTask<(JsonDocument? Body, Problem? Refusal)> OptionalBodyAsync(HttpContext context) =>
        context.Request.ContentLength is null or 0 && context.Request.ContentType is null ? (null, null) : await JsonObjectBody.ReadAsync(context);
}
