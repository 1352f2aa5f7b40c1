using Pulse.Entitlements;
using Pulse.Hosting;
using Pulse.Ingress.Authz;
using Pulse.Tests.Signups;

namespace Pulse.Tests.Authz;

/// <summary>What is answered when Postgres can't be asked, or was not heard.</summary>
public sealed class UnknownTests(TestPostgres postgres) : AuthzBed(postgres)
{
    [Theory]
    [InlineData("", 403, "unavailable", AuthzOutcome.Unavailable)]
    [InlineData("open", 204, "assumed", AuthzOutcome.AllowedUnknown)]
    [InlineData("closed", 503, "unavailable", AuthzOutcome.FailedClosed)]
    internal async Task Scenario_7_enforcement_that_cannot_load_the_organization_does_not_silently_allow(string policy, int status, string reason, AuthzOutcome counted)
    {
        var org = await SubscriberAsync("export");
        await using var network = Network();
        network.Fault = Fault.Reset;
        await using var ingress = await StartAsync(network, policy);

        foreach (var capability in (string?[])[null, "export"])
        {
            var answer = await AskAsync(ingress, "GET", "/authz", org, capability);
            if (status == 204)
                await Allows(answer, reason);
            else
                await Denies(answer, status, reason);
            if (status != 204)
                Assert.NotNull(answer.Headers.RetryAfter);
        }

        Assert.Equal(2, Counted(ingress, counted));
        // nginx makes a 500 of what it doesn't know.
        var nginx = await AskAsync(ingress, "GET", "/authz", org, null, ("X-Pulse-Proxy", "nginx"));
        Assert.Equal(status == 503 ? 403 : status, (int)nginx.StatusCode);
        // What is a mistake stays one.
        Assert.Equal(401, (int)(await AskAsync(ingress, "GET", "/authz", "nonsense")).StatusCode);
        Assert.Equal(403, (int)(await AskAsync(ingress, "GET", "/authz", org, null, ("X-Pulse-Authz-Key", "none"))).StatusCode);
    }

    [Theory]
    [InlineData("", 204, 403)]
    [InlineData("open", 204, 403)]
    [InlineData("closed", 503, 503)]
    public async Task What_was_known_last_goes_on_in_an_outage_unless_told_to_fail_closed(string policy, int allowed, int suspended)
    {
        var (org, other) = (await SubscriberAsync("export"), await SubscriberAsync("export"));
        await Postgres.RunAsync("update pulse.organizations set status = 'suspended' where org_id = $1", other);
        await using var network = Network();
        await using var ingress = await StartAsync(network, policy);
        await HearsAsync(ingress);
        await Allows(await AskAsync(ingress, "GET", "/authz", org, "export"));
        await Denies(await AskAsync(ingress, "GET", "/authz", other, "export"), 403, "org_suspended");

        network.Fault = Fault.Reset;
        // Within the bound nobody notices.
        Clock.Advance(AuthzRules.Bound - TimeSpan.FromSeconds(1));
        Assert.Equal(204, (int)(await AskAsync(ingress, "GET", "/authz", org, "export")).StatusCode);
        Clock.Advance(TimeSpan.FromSeconds(2));

        var answer = await AskAsync(ingress, "GET", "/authz", org, "export");
        Assert.Equal((allowed, "last_known"), ((int)answer.StatusCode, answer.Header("X-Pulse-Freshness")));
        Assert.Equal(suspended, (int)(await AskAsync(ingress, "GET", "/authz", other, "export")).StatusCode);

        network.Fault = Fault.None;
        await Eventually.Until(async () => (await AskAsync(ingress, "GET", "/authz", org, "export")).Header("X-Pulse-Freshness") == "fresh",
            TimeSpan.FromSeconds(20), "it is known again");
    }

    [Fact]
    public async Task A_suspension_that_nobody_announced_is_seen_when_the_bound_is_over()
    {
        var org = await SubscriberAsync("export");
        await Allows(await AskAsync(org));
        await Postgres.RunAsync("alter table pulse.organizations disable trigger organizations_status_announced");
        await Postgres.RunAsync("update pulse.organizations set status = 'suspended' where org_id = $1", org);
        await Postgres.RunAsync("alter table pulse.organizations enable trigger organizations_status_announced");

        await Allows(await AskAsync(org));
        // Not the first that asks either, however long nobody has.
        Clock.Advance(TimeSpan.FromSeconds(61));
        await Denies(await AskAsync(org), 403, "org_suspended");
    }

    [Fact]
    public void The_bound_is_how_long_the_library_calls_an_answer_fresh() => Assert.Equal(new EntitlementOptions().Fresh, AuthzRules.Bound);

    FaultProxy Network()
    {
        var address = PostgresAddress.Parse(Postgres.IngressAddress);
        return new FaultProxy(address.Host!, address.Port);
    }

    Task<TestIngress> StartAsync(FaultProxy network, string policy) => TestIngress.StartAsync(
        network.Through(new Uri(Postgres.IngressAddress)).ToString(), Clock, null, $"PULSE_AUTHZ_KEY={Key}", $"PULSE_AUTHZ_UNKNOWN={policy}");
}
