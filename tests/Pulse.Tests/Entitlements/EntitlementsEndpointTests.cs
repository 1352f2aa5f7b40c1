using System.Text.Json;
using Pulse.Contracts.Keys;
using Pulse.Hosting;
using Pulse.Tests.Admin;
using Pulse.Tests.House;
using Pulse.Tests.Signups;

namespace Pulse.Tests.Entitlements;

public sealed class EntitlementsEndpointTests(TestPostgres postgres) : AdminTests(postgres)
{
    string _key = "";

    public override async Task InitializeAsync()
    {
        await base.InitializeAsync();
        _key = await Postgres.KeyAsync(Scopes.EntitlementsRead);
    }

    [Fact]
    public async Task A_service_is_told_what_an_organization_may_do_and_how_fresh_that_is()
    {
        var org = await TenantAsync();
        await TimelineAsync(org,
        [
            new { from = Clock.GetUtcNow(), state = "active", plan_version = "pro", capabilities = (string[])["api", "export"], limits = new { seats = 5 }, meters_enabled = Array.Empty<string>(), source = "stripe" },
        ]);

        var answer = await (await SendAsync("GET", Path(org), _key)).Json();
        Assert.Equal(("fresh", "active", "pro", "stripe", 5), (Text(answer, "freshness"), Text(answer, "subscription_state"), Text(answer, "plan_version"), Text(answer, "source"),
            answer.GetProperty("limits").GetProperty("seats").GetInt32()));
        Assert.Equal(["api", "export"], answer.GetProperty("verdicts").EnumerateObject().Select(verdict => verdict.Name));

        var asked = (await (await SendAsync("GET", Path(org) + "?capability=api&capability=sso", _key)).Json()).GetProperty("verdicts");
        Assert.Equal((true, false, "capability_missing"),
            (asked.GetProperty("api").GetProperty("allowed").GetBoolean(), asked.GetProperty("sso").GetProperty("allowed").GetBoolean(), Text(asked.GetProperty("sso"), "reason")));
    }

    [Fact]
    public async Task A_suspended_organization_is_denied_everything_within_moments()
    {
        var org = await TenantAsync();
        await TimelineAsync(org, [new { from = Clock.GetUtcNow(), state = "active", plan_version = "pro", capabilities = (string[])["api"], limits = new { }, meters_enabled = Array.Empty<string>(), source = "stripe" }]);
        Assert.True(await AllowedAsync(org, "api"));

        await Postgres.RunAsync("update pulse.organizations set status = 'suspended' where org_id = $1", org);

        await Eventually.Until(async () => !await AllowedAsync(org, "api"), TimeSpan.FromSeconds(10), "it is denied");
    }

    [Fact]
    public async Task The_platform_s_own_may_everything()
    {
        Assert.True(await AllowedAsync("default", "anything at all"));
        Assert.True((await (await SendAsync("GET", Path("default"), _key)).Json()).GetProperty("unlimited").GetBoolean());
    }

    [Fact]
    public async Task An_unknown_organization_is_404_and_too_many_questions_are_400()
    {
        foreach (var id in (string[])[Unknown, "nonsense"])
            await (await SendAsync("GET", Path(id), _key)).IsProblem(404, "not_found");
        await (await SendAsync("GET", Path(Unknown) + "?" + string.Join('&', Enumerable.Repeat("capability=a", 101)), _key)).IsProblem(400, "invalid_request");
        await (await SendAsync("GET", Path(Unknown) + "?capability=", _key)).IsProblem(400, "invalid_request");
        await (await SendAsync("GET", Path(Unknown), await Postgres.KeyAsync(Scopes.OrgsRead))).IsProblem(403, "insufficient_scope");
    }

    [Fact]
    public async Task One_that_was_never_read_is_taken_for_one_on_trial_while_the_database_is_away()
    {
        var org = await TenantAsync();
        var address = PostgresAddress.Parse(Postgres.IngressAddress);
        await using var network = new FaultProxy(address.Host!, address.Port);
        await using var ingress = await TestIngress.StartAsync(
            network.Through(new Uri(Postgres.IngressAddress)).ToString(), Clock, null, $"PULSE_PLANS_FILE={System.IO.Path.Combine(Sources.Root, "deploy/plans.example.json")}");
        // It knows the key, and nothing of the organization.
        await (await SendAsync(ingress, "GET", Path(Unknown), _key)).IsProblem(404, "not_found");
        network.Fault = Fault.Reset;

        var answer = await (await SendAsync(ingress, "GET", Path(org) + "?capability=projects&capability=sso", _key)).Json();

        Assert.Equal(("assumed", "trial"), (Text(answer, "freshness"), Text(answer, "subscription_state")));
        Assert.Equal(3, answer.GetProperty("limits").GetProperty("projects").GetInt32());
        Assert.Equal((true, false), (Allowed("projects"), Allowed("sso")));

        bool Allowed(string capability) => answer.GetProperty("verdicts").GetProperty(capability).GetProperty("allowed").GetBoolean();
    }

    async Task<bool> AllowedAsync(object org, string capability) =>
        (await (await SendAsync("GET", $"{Path(org)}?capability={Uri.EscapeDataString(capability)}", _key)).Json())
            .GetProperty("verdicts").GetProperty(capability).GetProperty("allowed").GetBoolean();

    static string Path(object org) => $"/api/orgs/{org}/entitlements";

    static string? Text(JsonElement element, string name) => element.GetProperty(name).GetString();
}
