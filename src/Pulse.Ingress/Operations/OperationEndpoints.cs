using System.Globalization;
using Microsoft.AspNetCore.Http.HttpResults;
using Npgsql;
using Pulse.Hosting;
using Pulse.Ingress.Http;
using Pulse.Ingress.Keys;

namespace Pulse.Ingress.Operations;

/// <summary>How far a command is.</summary>
static class OperationEndpoints
{
    public const string Path = "/api/admin/operations";

    public static void AddOperations(this IServiceCollection services, Settings settings)
    {
        var listening = settings.Postgres("PULSE_POSTGRES");
        listening.ApplicationName = "pulse-ingress-operations";
        listening.Pooling = false;
        // A connection that nobody speaks on is found dead only by speaking.
        listening.KeepAlive = 10;
        listening.Timeout = 3;
        services.AddSingleton(new ListenAddress(listening.ConnectionString));
        services.AddSingleton<OperationWaits>();
        services.AddHostedService(provider => provider.GetRequiredService<OperationWaits>());
        services.AddSingleton<OperationIntake>();
        services.ConfigureHttpJsonOptions(json => json.SerializerOptions.TypeInfoResolverChain.Insert(0, OperationJson.Default));
    }

    public static void MapOperations(this IEndpointRouteBuilder routes)
    {
        var get = routes.MapGet(Path + "/{operation_id}", StatusAsync)
            // Which scope depends on what was asked.
            .RequireScope(null)
            .WithName("operationStatus").WithTags("Operations")
            .WithSummary("How far a command is.")
            .WithDescription("Needs the scope of the command. status is pending, succeeded or refused; result and problem are what the command would have answered.");
        get.ProducesProblem(StatusCodes.Status404NotFound);
    }

    static async Task<Results<Ok<OperationStatus>, ProblemHttpResult>> StatusAsync(
        HttpContext context, string operation_id, NpgsqlDataSource dataSource, IEnumerable<OperationKind> kinds, CancellationToken cancellationToken)
    {
        if (!Guid.TryParseExact(operation_id, "D", out var id)
            || await OperationTable.FindAsync(dataSource, id, cancellationToken) is not { } operation
            || kinds.FirstOrDefault(kind => kind.Name == operation.Kind) is not { } kind)
            return Problem.NotFound().On(context);

        if (!Caller.Of(context).Scopes.Contains(kind.Scope))
            return KeyGate.InsufficientScope(context, kind.Scope).On(context);

        if (operation.Status == "pending")
            context.Response.Headers.RetryAfter = 1.ToString(CultureInfo.InvariantCulture);
        return TypedResults.Ok(OperationStatus.Of(operation, kind));
    }
}
