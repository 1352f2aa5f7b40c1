using System.Diagnostics;
using System.Text.Json.Nodes;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Npgsql;
using Pulse.Entitlements;
using Pulse.Hosting;

namespace Pulse.Demo;

/// <summary>The tenant's life as a customer, as one of the platform's own services sees it: through the library, in its memory.</summary>
sealed class Subscription(Surroundings surroundings, FirstSignup tenant) : IAsyncDisposable
{
    /// <summary>What the example's plan pro-1 has and a trial doesn't.</summary>
    const string Capability = "sso";

    readonly StripeControl _stripe = new(surroundings);
    readonly IHost _service = Service(surroundings);
    string _subscription = "";

    // As a service of the platform does it: docs/entitlements.md.
    static IHost Service(Surroundings surroundings)
    {
        var builder = Host.CreateEmptyApplicationBuilder(new HostApplicationBuilderSettings());
        builder.Services.AddSingleton(surroundings.Postgres);
        builder.Services.AddSingleton<TimeProvider>(new MovableClock(surroundings.Clock));
        builder.Services.AddPulseEntitlements();
        return builder.Build();
    }

    EntitlementReader Reader => _service.Services.GetRequiredService<EntitlementReader>();

    public async Task IsOnTrial(Observations step)
    {
        await _service.StartAsync();
        await Becomes(step, "trial", allowed: false);
    }

    public async Task Begins(Observations step)
    {
        var (page, _) = await _stripe.Tell("checkout/open", new JsonObject { ["price"] = "price_pro", ["client_reference_id"] = tenant.OrgId.ToString() });
        var (session, events) = await _stripe.Tell("checkout/complete", new JsonObject { ["id"] = (string?)page["id"] });
        _subscription = (string)session["subscription"]!;
        step.Check(true, $"Stripe says {events}");
        await Becomes(step, "active", allowed: true);
        var linked = await Row("select customer_id || ' by ' || linked_by from pulse.stripe_customers where org_id = $1");
        step.Check(linked.EndsWith("client_reference_id", StringComparison.Ordinal), $"the customer is linked to the organization: {linked}");
    }

    public async Task FailsToPay(Observations step)
    {
        await Tell(step, "subscriptions/fail_payment");
        var state = await Becomes(step, "grace", allowed: true);
        step.Check(state.GraceUntil is not null, $"access goes on until {state.GraceUntil:u}, counted from the invoice");
    }

    public async Task GraceEnds(Observations step)
    {
        await MoveClock("+22d");
        step.Check(true, "./pulse clock +22d: the clock of every process is 22 days ahead");
        await Becomes(step, "suspended", allowed: false);
    }

    public async Task Pays(Observations step)
    {
        await Tell(step, "subscriptions/pay");
        await Becomes(step, "active", allowed: true);
    }

    public async Task Ends(Observations step)
    {
        await Tell(step, "subscriptions/cancel");
        await Becomes(step, "expired", allowed: false);
        var audited = await Row("select string_agg(distinct actor, ', ' order by actor) || ', ' || count(*) || ' entries' from pulse.audit_log where org_id = $1");
        step.Check(true, $"who changed it is in the audit log: {audited}");
        await MoveClock("reset");
    }

    async Task Tell(Observations step, string action)
    {
        var (_, events) = await _stripe.Tell(action, new JsonObject { ["id"] = _subscription });
        step.Check(true, $"Stripe says {events}");
    }

    async Task<EntitlementState> Becomes(Observations step, string wanted, bool allowed)
    {
        var waited = Stopwatch.StartNew();
        var state = await Poll.Until($"state {wanted} of {tenant.OrgId}", TimeSpan.FromSeconds(30),
            async () => await Reader.GetAsync(tenant.OrgId) is { } seen && seen.SubscriptionState == wanted ? seen : null);
        var took = waited.Elapsed;
        var verdict = await Reader.CheckAsync(tenant.OrgId, Capability);
        step.Check(verdict.Allowed == allowed,
            $"the library says {state.SubscriptionState}, plan {state.PlanVersion}, from {state.Source}, after {took.TotalMilliseconds:0} ms: "
            + $"{Capability} is {(verdict.Allowed ? "allowed" : $"denied, {verdict.Reason}")} ({verdict.Freshness})");
        return state;
    }

    async Task MoveClock(string move)
    {
        using var process = Process.Start(new ProcessStartInfo(Path.Combine(surroundings.Root, "pulse"), ["clock", move]) { RedirectStandardOutput = true })!;
        await process.StandardOutput.ReadToEndAsync();
        await process.WaitForExitAsync();
        if (process.ExitCode != 0)
            throw new DoesNotHoldException($"./pulse clock {move} ended with {process.ExitCode}");
    }

    async Task<string> Row(string sql)
    {
        await using var command = surroundings.Postgres.CreateCommand(sql);
        command.Parameters.Add(new NpgsqlParameter<Guid> { TypedValue = tenant.OrgId });
        return await command.ExecuteScalarAsync() as string ?? throw new DoesNotHoldException("there is no such row");
    }

    public async ValueTask DisposeAsync()
    {
        await _service.StopAsync();
        _service.Dispose();
    }
}
