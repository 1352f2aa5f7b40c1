using Npgsql;
using Pulse.Ingress.Keys;

namespace Pulse.Ingress.Console;

/// <summary>A request of somebody who is signed in.</summary>
/// <param name="Http">The request itself.</param>
/// <param name="Caller">Who it is, and what they may: as it is now, not as it was when they signed in.</param>
/// <param name="FormToken">What their forms carry.</param>
sealed record ConsoleRequest(HttpContext Http, Caller Caller, string FormToken)
{
    public NpgsqlDataSource Database => Service<NpgsqlDataSource>();

    public DateTimeOffset Now { get; } = Http.RequestServices.GetRequiredService<TimeProvider>().GetUtcNow();

    public CancellationToken Aborted => Http.RequestAborted;

    public T Service<T>()
        where T : notnull => Http.RequestServices.GetRequiredService<T>();

    public bool May(string? scope) => scope is null || Caller.Scopes.Contains(scope);

    /// <summary>A part of the address.</summary>
    public string Route(string name) => Http.Request.RouteValues[name] as string ?? "";

    /// <summary>The one value of a query's field; null when it is empty or there are several.</summary>
    public string? Query(string name) => Http.Request.Query[name] is [{ Length: > 0 } only] ? only : null;
}

/// <summary>A place of the console that stands in its menu. A slice registers its own: <c>services.AddSingleton(new ConsoleSection(…))</c>.</summary>
/// <param name="Order">Its place among the others.</param>
/// <param name="Scope">Shown to those only who have it; null for all.</param>
sealed record ConsoleSection(int Order, string Title, string Path, string? Scope);

/// <summary>What a slice has to say of an organization, on the page that another slice makes of it.</summary>
/// <param name="Render">Nothing when there is nothing to say.</param>
sealed record OrganizationPanel(int Order, string Title, string Scope, Func<ConsoleRequest, Guid, Task<Html>> Render);
