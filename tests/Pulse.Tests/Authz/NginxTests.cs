using Pulse.Hosting;
using Pulse.Ingress.Authz;
using Pulse.Tests.Signups;

namespace Pulse.Tests.Authz;

/// <summary>deploy/nginx/pulse.conf in a real nginx: what a client of a service behind it sees.</summary>
public sealed class NginxTests(TestPostgres postgres) : AuthzBed(postgres)
{
    protected override string[] Variables => ["PULSE_AUTHZ_RATE_PER_MINUTE=40"];

    [Fact]
    public async Task A_suspended_organization_is_refused_with_the_reason_and_served_when_it_is_not()
    {
        var org = await SubscriberAsync("export");
        await using var nginx = await Nginx.StartAsync(Proxied.Http.BaseAddress!, Key);
        await Serves(await nginx.GetAsync(org), org);

        await Postgres.RunAsync("update pulse.organizations set status = 'suspended' where org_id = $1", org);
        await Eventually.Until(async () => (int)(await nginx.GetAsync(org)).StatusCode == 403, TimeSpan.FromSeconds(10), "it is refused");
        await Refuses(await nginx.GetAsync(org, "/any/path"), 403, "org_suspended");

        await Postgres.RunAsync("update pulse.organizations set status = 'active' where org_id = $1", org);
        await Eventually.Until(async () => (int)(await nginx.GetAsync(org)).StatusCode == 200, TimeSpan.FromSeconds(10), "it is served");
        await Serves(await nginx.GetAsync(org, "/", "POST"), org);
    }

    [Fact]
    public async Task What_takes_a_capability_is_refused_to_who_has_it_not()
    {
        var (with, without) = (await SubscriberAsync("export"), await SubscriberAsync("api"));
        await using var nginx = await Nginx.StartAsync(Proxied.Http.BaseAddress!, Key);

        await Serves(await nginx.GetAsync(with, "/export/all"), with);
        // However the path is written, nginx makes the same of it as the service does.
        foreach (var path in (string[])["/export/all", "/%65xport/all", "/./export/", "/export//x"])
            await Refuses(await nginx.GetAsync(without, path), 403, "capability_missing");
        await Serves(await nginx.GetAsync(without, "/other"), without);
    }

    [Fact]
    public async Task A_client_can_t_say_which_organization_it_is_of_nor_that_it_is_a_proxy()
    {
        var (good, bad) = (await SubscriberAsync("export"), await SubscriberAsync("api"));
        await Postgres.RunAsync("update pulse.organizations set status = 'suspended' where org_id = $1", bad);
        await using var nginx = await Nginx.StartAsync(Proxied.Http.BaseAddress!, Key);

        await Refuses(await nginx.GetAsync(bad, "/", "GET", ("X-Pulse-Org-Id", good.ToString()), ("X-Pulse-Proxy", "none")), 403, "org_suspended");
        await Refuses(await nginx.GetAsync(null, "/", "GET", ("X-Pulse-Org-Id", good.ToString())), 401, "org_missing");
        await Refuses(await nginx.GetAsync(Unknown), 401, "org_unknown");
        Assert.Equal(404, (int)(await nginx.GetAsync(good, "/_pulse/authz")).StatusCode);
        // What the service itself says is passed on as it is.
        var own = await nginx.GetAsync(good, "/teapot");
        Assert.Equal((403, null), ((int)own.StatusCode, own.Header("X-Pulse-Reason")));
    }

    [Fact]
    public async Task Too_many_requests_are_429_and_not_500()
    {
        var org = await SubscriberAsync();
        await using var nginx = await Nginx.StartAsync(Proxied.Http.BaseAddress!, Key);
        for (var i = 0; i < 40; i++)
            await Serves(await nginx.GetAsync(org), org);

        var refused = await nginx.GetAsync(org);
        await Refuses(refused, 429, "rate_limited");
        Assert.Equal("2", refused.Header("Retry-After"));
    }

    [Theory]
    [InlineData(false, 503)]
    [InlineData(true, 200)]
    public async Task Where_Pulse_does_not_answer_nobody_or_everybody_is_let_in_as_the_configuration_says(bool open, int status)
    {
        var org = await SubscriberAsync();
        await using var nginx = await Nginx.StartAsync(Proxied.Http.BaseAddress!, Key, open);
        await Serves(await nginx.GetAsync(org), org);
        await DisposeAsync();

        foreach (var path in (string[])["/", "/export/x"])
        {
            var answer = await nginx.GetAsync(org, path);
            Assert.Equal((status, open ? null : "unreachable"), ((int)answer.StatusCode, answer.Header("X-Pulse-Reason")));
        }

        await InitializeAsync();
    }

    [Theory]
    [InlineData("", 503, "unavailable")]
    [InlineData("closed", 503, "unavailable")]
    [InlineData("open", 200, null)]
    public async Task Where_Pulse_can_t_read_the_organization_it_is_as_Pulse_was_told(string policy, int status, string? reason)
    {
        var org = await SubscriberAsync();
        var address = PostgresAddress.Parse(Postgres.IngressAddress);
        await using var network = new FaultProxy(address.Host!, address.Port) { Fault = Fault.Reset };
        await using var ingress = await TestIngress.StartAsync(
            network.Through(new Uri(Postgres.IngressAddress)).ToString(), Clock, null, $"PULSE_AUTHZ_KEY={Key}", $"PULSE_AUTHZ_UNKNOWN={policy}");
        await using var nginx = await Nginx.StartAsync(ingress.Http.BaseAddress!, Key);

        var answer = await nginx.GetAsync(org);
        Assert.Equal((status, reason), ((int)answer.StatusCode, answer.Header("X-Pulse-Reason")));
    }

    [Fact]
    public async Task A_proxy_with_the_wrong_key_lets_nobody_in()
    {
        var org = await SubscriberAsync();
        await using var nginx = await Nginx.StartAsync(Proxied.Http.BaseAddress!, Key + "-another");

        await Refuses(await nginx.GetAsync(org), 403, "proxy_unknown");
        Assert.Equal(1, Counted(Proxied, AuthzOutcome.ProxyUnknown));
    }

    static async Task Serves(HttpResponseMessage answer, Guid org)
    {
        Assert.Equal((200, org.ToString()), ((int)answer.StatusCode, answer.Header(Nginx.Served)));
        Assert.NotEmpty(await answer.Content.ReadAsStringAsync());
    }

    static async Task Refuses(HttpResponseMessage answer, int status, string reason)
    {
        Assert.Equal((status, reason, null), ((int)answer.StatusCode, answer.Header("X-Pulse-Reason"), answer.Header(Nginx.Served)));
        var problem = await answer.Json();
        Assert.Equal((status, reason), (problem.GetProperty("status").GetInt32(), problem.GetProperty("code").GetString()));
    }
}
