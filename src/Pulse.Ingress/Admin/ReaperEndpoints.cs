using System.Text.Json;
using Microsoft.AspNetCore.Http.HttpResults;
using Npgsql;
using Pulse.Contracts.Keys;
using Pulse.Contracts.Lifecycle;
using Pulse.Ingress.Http;
using Pulse.Ingress.Keys;
using Pulse.Ingress.Operations;

namespace Pulse.Ingress.Admin;

/// <summary>What operators have to do with purges: look at what is due, confirm it where it is too much to go by itself, and the certificate.</summary>
static class ReaperEndpoints
{
    public static readonly OperationKind Confirm = new("lifecycle.confirm_purges", Scopes.OrgsWrite);

    public static void MapReaper(this IEndpointRouteBuilder routes)
    {
        routes.MapPost("/api/admin/reaper/dry-run", DryRunAsync)
            .RequireScope(Scopes.OrgsWrite).WithName("reaperDryRun").WithTags("Reaper")
            .WithSummary("What the reaper would purge now, and has not been confirmed. Changes nothing.")
            .WithDescription("More than PULSE_REAPER_MAX, or than 5 % of all organizations (one is always allowed), are purged only after a confirmation by the hash of this list.");
        routes.MapPost("/api/admin/reaper/confirm", ConfirmAsync)
            .RequireScope(Scopes.OrgsWrite).WithName("reaperConfirm").WithTags("Reaper")
            .WithSummary("Confirms that the listed organizations are purged.")
            .WithDescription("409 list_changed when others are due by now than those of the list: look at a new dry run.")
            .Accepts<LifecycleRequest>("application/json")
            .DescribeCommand()
            .ProducesProblem(StatusCodes.Status409Conflict);
        routes.MapGet("/api/admin/orgs/{org_id}/certificate", CertificateAsync)
            .RequireScope(Scopes.OrgsRead).WithName("certificate").WithTags("Organizations")
            .WithSummary("That an organization was purged, and how that is known.")
            .WithDescription("404 as long as it is not.")
            .ProducesProblem(StatusCodes.Status404NotFound);
    }

    static async Task<Ok<DryRun>> DryRunAsync(NpgsqlDataSource dataSource, TimeProvider clock, CancellationToken cancellationToken) =>
        TypedResults.Ok(await ReaperTable.DryRunAsync(dataSource, clock.GetUtcNow(), cancellationToken));

    static async Task<Results<Ok<PurgesConfirmed>, Accepted<OperationStatus>, ProblemHttpResult>> ConfirmAsync(
        HttpContext context, OperationIntake intake, CancellationToken cancellationToken)
    {
        var (body, unreadable) = await JsonObjectBody.ReadAsync(context);
        using (body)
        {
            if (unreadable is not null)
                return unreadable.On(context);
            if (LifecycleRules.Confirm(body!.RootElement, out var invalid) is not { } request)
                return invalid!.On(context);

            var caller = Caller.Of(context);
            if (OperationKey.Read(context.Request.Headers[OperationKey.Header], caller, out var keyedId) is { } unkeyed)
                return unkeyed.On(context);

            var outcome = await intake.SubmitAsync(
                Confirm, null, JsonSerializer.Serialize(request, AdminJson.Default.LifecycleRequest), operation => new ConfirmPurges { OperationId = operation },
                caller, keyedId, cancellationToken);
            return outcome.Answer(context, AdminJson.Default.PurgesConfirmed, confirmed => confirmed);
        }
    }

    static async Task<Results<Ok<Certificate>, ProblemHttpResult>> CertificateAsync(
        HttpContext context, string org_id, NpgsqlDataSource dataSource, CancellationToken cancellationToken) =>
        OrgAddress.Parse(org_id) is { } id && await ReaperTable.CertificateAsync(dataSource, id, cancellationToken) is { } certificate
            ? TypedResults.Ok(certificate)
            : Problem.NotFound().On(context);
}
