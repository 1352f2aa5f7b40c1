using System.Text.Json;
using Microsoft.AspNetCore.Http.HttpResults;
using Npgsql;
using Pulse.Contracts.Billing;
using Pulse.Contracts.Keys;
using Pulse.Ingress.Console;
using Pulse.Ingress.Http;
using Pulse.Ingress.Keys;
using Pulse.Ingress.Operations;

namespace Pulse.Ingress.Billing;

/// <summary>What an organization has, why, and an operator's say in it.</summary>
static class BillingEndpoints
{
    const string Path = "/api/admin/orgs/{org_id}/billing-state";

    public static readonly OperationKind Set = new("billing.set", Scopes.BillingWrite);
    public static readonly OperationKind Revoke = new("billing.revoke_override", Scopes.BillingWrite);

    public static void AddBilling(this IServiceCollection services)
    {
        services.AddSingleton(Set);
        services.AddSingleton(Revoke);
        services.AddSingleton(new OrganizationPanel(10, "Billing", Scopes.BillingRead, BillingPanel.RenderAsync));
        services.ConfigureHttpJsonOptions(json => json.SerializerOptions.TypeInfoResolverChain.Insert(0, BillingJson.Default));
    }

    public static void MapBilling(this IEndpointRouteBuilder routes)
    {
        routes.MapGet(Path, StateAsync).RequireScope(Scopes.BillingRead).DescribeState();
        routes.MapPut(Path, SetAsync).RequireScope(Scopes.BillingWrite).DescribeSet();
        routes.MapDelete(Path + "/override", RevokeAsync).RequireScope(Scopes.BillingWrite).DescribeRevoke();
        routes.MapGet(Path + "/explain", ExplainAsync).RequireScope(Scopes.BillingRead).DescribeExplain();
        OverridePages.Map(routes);
    }

    static async Task<Results<Ok<BillingStateResult>, ProblemHttpResult>> StateAsync(
        HttpContext context, string org_id, NpgsqlDataSource dataSource, TimeProvider clock, CancellationToken cancellationToken)
    {
        if (OrgAddress.Parse(org_id) is not { } id || await BillingStateTable.FindAsync(dataSource, id, cancellationToken) is not { } row)
            return Problem.NotFound().On(context);
        if (row.Unlimited)
            return NoBilling().On(context);

        var state = BillingStateRules.Effective(BillingStateRules.Current(row.Timeline, clock.GetUtcNow()), row.Lifecycle, row.Version);
        Tag(context, state);
        return TypedResults.Ok(state);
    }

    static async Task<Results<Ok<BillingExplanation>, ProblemHttpResult>> ExplainAsync(
        HttpContext context, string org_id, NpgsqlDataSource dataSource, TimeProvider clock, CancellationToken cancellationToken)
    {
        var now = clock.GetUtcNow();
        if (OrgAddress.Parse(org_id) is not { } id || await BillingStateTable.FactsAsync(dataSource, id, now.UtcDateTime, cancellationToken) is not { } facts)
            return Problem.NotFound().On(context);
        if (facts.Entitlements.Unlimited)
            return NoBilling().On(context);

        var explanation = Explanation.Of(facts, now);
        Tag(context, explanation.State);
        return TypedResults.Ok(explanation);
    }

    static async Task<Results<Ok<BillingStateResult>, Accepted<OperationStatus>, ProblemHttpResult>> SetAsync(
        HttpContext context, string org_id, NpgsqlDataSource dataSource, OperationIntake intake, TimeProvider clock, CancellationToken cancellationToken)
    {
        var (row, refusal) = await FindAsync(org_id, dataSource, cancellationToken);
        if (row is null)
            return refusal!.On(context);

        var (body, unreadable) = await JsonObjectBody.ReadAsync(context);
        using (body)
        {
            if (unreadable is not null)
                return unreadable.On(context);
            if (BillingStateRules.Parse(body!.RootElement, clock.GetUtcNow(), out var errors) is not { } request)
                return Invalid(errors).On(context);
            // A plan by its name alone says what it gives.
            if (request.State is { PlanVersion: { } plan, Capabilities: null } && !await BillingStateTable.IsPlanAsync(dataSource, plan, cancellationToken))
                return Invalid(BillingStateRules.UnknownPlan(plan)).On(context);

            return await SubmitAsync(
                context, intake, Set, row,
                version => JsonSerializer.Serialize(request with { IfMatch = version }, BillingJson.Default.BillingStateRequest),
                (operation, org) => new SetBillingState { OperationId = operation, OrgId = org }, cancellationToken);
        }
    }

    static async Task<Results<Ok<BillingStateResult>, Accepted<OperationStatus>, ProblemHttpResult>> RevokeAsync(
        HttpContext context, string org_id, NpgsqlDataSource dataSource, OperationIntake intake, CancellationToken cancellationToken)
    {
        var (row, refusal) = await FindAsync(org_id, dataSource, cancellationToken);
        return row is null
            ? refusal!.On(context)
            : await SubmitAsync(
                context, intake, Revoke, row,
                version => JsonSerializer.Serialize(new BillingOverrideRevocation { IfMatch = version }, BillingJson.Default.BillingOverrideRevocation),
                (operation, org) => new RevokeBillingOverride { OperationId = operation, OrgId = org }, cancellationToken);
    }

    // Looked at here so that a mistyped id does not wait for a worker. That it is still there, and still of the version asked for, the worker
    // sees under its lock.
    static async Task<(EntitlementRow? Row, Problem? Refusal)> FindAsync(string address, NpgsqlDataSource dataSource, CancellationToken cancellationToken)
    {
        if (OrgAddress.Parse(address) is not { } id)
            return (null, Problem.NotFound());
        if (id == OrgAddress.DefaultId)
            return (null, new Problem(StatusCodes.Status400BadRequest, "default_org_immutable", "The platform's own organization stays as it is",
                "It has no billing, and can't be given any."));

        var row = await BillingStateTable.FindAsync(dataSource, id, cancellationToken);
        return (row, row is null ? Problem.NotFound() : null);
    }

    static async Task<Results<Ok<BillingStateResult>, Accepted<OperationStatus>, ProblemHttpResult>> SubmitAsync<T>(
        HttpContext context, OperationIntake intake, OperationKind kind, EntitlementRow row, Func<long?, string> request, Func<Guid, Guid, T> command,
        CancellationToken cancellationToken)
        where T : class
    {
        var caller = Caller.Of(context);
        if (IfMatch.Read(context.Request.Headers.IfMatch, out var version) is { } unmatched)
            return unmatched.On(context);
        if (OperationKey.Read(context.Request.Headers[OperationKey.Header], caller, out var keyedId) is { } unkeyed)
            return unkeyed.On(context);

        var outcome = await intake.SubmitAsync(kind, row.OrgId, request(version), operation => command(operation, row.OrgId), caller, keyedId, cancellationToken);
        return outcome.Answer(context, BillingJson.Default.BillingStateResult, state =>
        {
            Tag(context, state);
            return BillingStateRules.Under(row.Lifecycle, state);
        });
    }

    static void Tag(HttpContext context, BillingStateResult state) => context.Response.Headers.ETag = IfMatch.ETag(state.Version);

    static Problem NoBilling() =>
        new(StatusCodes.Status404NotFound, "no_billing", "There is no billing", "The platform's own organization has no billing and no limits.");

    static Problem Invalid(OrderedDictionary<string, string[]> errors) =>
        new(StatusCodes.Status400BadRequest, BillingStateRules.Code(errors), "The billing state is not valid", string.Join(' ', errors.Values.SelectMany(messages => messages)))
        {
            Errors = errors,
        };
}
