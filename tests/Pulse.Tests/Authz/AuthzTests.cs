using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;
using Pulse.Entitlements;
using Pulse.Hosting;
using Pulse.Ingress;
using Pulse.Ingress.Authz;
using Pulse.Tests.Signups;

namespace Pulse.Tests.Authz;

public sealed class AuthzTests(TestPostgres postgres) : AuthzBed(postgres)
{
    [Fact]
    public async Task Who_has_access_is_allowed_with_the_capability_and_without_asking_for_one()
    {
        var org = await SubscriberAsync("export");

        await Allows(await AskAsync(org));
        await Allows(await AskAsync(org, "export"));
        await Allows(await AskAsync("default", "anything"));
    }

    [Theory]
    [InlineData("suspended", "org_suspended")]
    [InlineData("pending_deletion", "org_pending_deletion")]
    public async Task What_is_not_active_is_denied_at_once_and_allowed_again_when_it_is(string status, string reason)
    {
        var org = await SubscriberAsync("export");
        await Allows(await AskAsync(org, "export"));

        await Postgres.RunAsync("update pulse.organizations set status = $2 where org_id = $1", org, status);
        await Eventually.Until(async () => (int)(await AskAsync(org, "export")).StatusCode == 403, TimeSpan.FromSeconds(10), "it is denied");
        await Denies(await AskAsync(org, "export"), 403, reason);
        Assert.Equal("fresh", (await AskAsync(org)).Header("X-Pulse-Freshness"));

        await Postgres.RunAsync("update pulse.organizations set status = 'active' where org_id = $1", org);
        await Eventually.Until(async () => (int)(await AskAsync(org, "export")).StatusCode == 204, TimeSpan.FromSeconds(10), "it is allowed again");
    }

    [Fact]
    public async Task A_subscription_that_has_ended_and_a_capability_that_is_not_in_the_plan_are_told_apart()
    {
        var org = await TenantAsync();
        await TimelineAsync(org, [new { from = Clock.GetUtcNow(), state = "expired", plan_version = "pro", capabilities = Array.Empty<string>(), limits = new { }, meters_enabled = Array.Empty<string>(), source = "stripe" }]);
        var paying = await SubscriberAsync("export");

        await Denies(await AskAsync(org), 403, "subscription_required");
        await Denies(await AskAsync(paying, "sso"), 403, "capability_missing");
        // Names that nobody can have.
        await Denies(await AskAsync(paying, new string('x', 20_000)), 403, "capability_missing");
        await Denies(await AskAsync(paying, "export", ("X-Pulse-Capability", "export")), 403, "capability_missing");
        await Denies(await AskAsync(paying, "\u00ff\u0001"), 403, "capability_missing");
    }

    // As a server sees two lines: a client of .NET makes one of them.
    [Theory]
    [InlineData("X-Pulse-Capability", "export", 403, "capability_missing")]
    [InlineData("X-Pulse-Capability", "", 403, "capability_missing")]
    [InlineData("X-Pulse-Org-Id", null, 401, "org_unknown")]
    [InlineData("X-Pulse-Authz-Key", Key, 403, "proxy_unknown")]
    public async Task A_header_that_came_twice_lets_nobody_in(string header, string? second, int status, string reason)
    {
        var org = (await SubscriberAsync("export")).ToString();
        var context = new DefaultHttpContext { RequestServices = Proxied.Services };
        context.Request.Headers["X-Pulse-Authz-Key"] = Key;
        context.Request.Headers["X-Pulse-Org-Id"] = org;
        context.Request.Headers["X-Pulse-Capability"] = "export";
        var gate = Proxied.Services.GetRequiredService<AuthzGate>();
        await gate.AnswerAsync(context);
        Assert.Equal(204, context.Response.StatusCode);

        context.Request.Headers[header] = new[] { context.Request.Headers[header].ToString(), second ?? org };
        await gate.AnswerAsync(context);

        Assert.Equal((status, reason), (context.Response.StatusCode, context.Response.Headers["X-Pulse-Reason"].ToString()));
    }

    [Fact]
    public async Task No_organization_and_one_that_is_none_are_401()
    {
        await Denies(await AskAsync(null), 401, "org_missing");
        await Denies(await AskAsync(""), 401, "org_missing");
        foreach (var none in (string[])[Unknown, "nonsense", "*", "Default", Guid.NewGuid().ToString(), Unknown.Replace("-", "", StringComparison.Ordinal), $"{{{Unknown}}}", new('0', 20_000), "\u00ff", "%00", "' or 1=1"])
            await Denies(await AskAsync(none), 401, "org_unknown");
        await Denies(await AskAsync(Unknown, null, ("X-Pulse-Org-Id", "default")), 401, "org_unknown");
        Assert.Equal("Bearer realm=\"pulse\"", (await AskAsync(null)).Headers.WwwAuthenticate.ToString());
    }

    [Fact]
    public async Task Every_method_and_every_path_below_is_the_same_question()
    {
        var org = await SubscriberAsync();
        await Postgres.RunAsync("update pulse.organizations set status = 'suspended' where org_id = $1", await SubscriberAsync());

        foreach (var method in (string[])["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND"])
        {
            foreach (var path in (string[])["/authz", "/authz/", "/authz/health/ready", "/authz/a/b%2F..?q=1", "/authz/api/admin/orgs"])
            {
                await Allows(await AskAsync(Proxied, method, path, org));
                Assert.Equal(401, (int)(await AskAsync(Proxied, method, path, Unknown)).StatusCode);
            }
        }
    }

    [Fact]
    public async Task Who_shows_no_key_is_told_nothing_of_any_organization()
    {
        var org = await SubscriberAsync();
        foreach (var shown in (string[])["", "nonsense", Key[..^1], Key + "x", Key.ToUpperInvariant(), "\u00ff"])
        {
            foreach (var asked in (object?[])[org, Unknown, null])
                await Denies(await AskAsync(asked, null, ("X-Pulse-Authz-Key", shown)), 403, "proxy_unknown");
        }

        await Denies(await AskAsync(org, null, ("X-Pulse-Authz-Key", Key), ("X-Pulse-Authz-Key", Key)), 403, "proxy_unknown");
        // Nor is the organization's rate used up.
        Assert.Equal(0, Proxied.Services.GetRequiredService<OrgRateLimit>().Count);
    }

    [Fact]
    public async Task While_a_key_is_exchanged_both_hold()
    {
        await using var ingress = await StartAsync($"PULSE_AUTHZ_KEY={Key}, {Key}-the-new-one");
        await HearsAsync(ingress);
        var org = await SubscriberAsync();

        foreach (var key in (string[])[Key, $"{Key}-the-new-one"])
            await Allows(await AskAsync(ingress, "GET", "/authz", org, null, ("X-Pulse-Authz-Key", key)));
        await Denies(await AskAsync(ingress, "GET", "/authz", org, null, ("X-Pulse-Authz-Key", $"{Key}, {Key}-the-new-one")), 403, "proxy_unknown");
    }

    [Fact]
    public async Task It_is_there_only_with_a_key_and_in_hosted_mode()
    {
        await using var local = await StartAsync("PULSE_HOSTED_MODE=false", $"PULSE_AUTHZ_KEY={Key}");

        foreach (var ingress in new[] { Ingress, local })
        {
            foreach (var path in (string[])["/authz", "/authz/x"])
                await (await AskAsync(ingress, "GET", path, "default")).IsProblem(404, "not_found");
        }

        Assert.DoesNotContain("\"/authz\"", await Ingress.Http.GetStringAsync("/openapi/v1.json"), StringComparison.Ordinal);
        Assert.Contains("\"/authz\"", await Proxied.Http.GetStringAsync("/openapi/v1.json"), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Made_up_ids_cost_Postgres_next_to_nothing_and_fill_no_memory()
    {
        var reader = Proxied.Services.GetRequiredService<EntitlementReader>();
        var before = reader.Queries;
        var since = System.Diagnostics.Stopwatch.GetTimestamp();
        string[] ids = [.. Enumerable.Range(0, 3000).Select(_ => Guid.CreateVersion7().ToString())];

        for (var round = 0; round < 2; round++)
        {
            await Parallel.ForEachAsync(ids, new ParallelOptions { MaxDegreeOfParallelism = 64 }, async (id, _) =>
                Assert.Equal(401, (int)(await AskAsync(id)).StatusCode));
        }

        // A hundred queries a second, however many ids; and none at all for those that are remembered.
        Assert.InRange(reader.Queries - before, 1, 20 + (long)(System.Diagnostics.Stopwatch.GetElapsedTime(since).TotalSeconds * 100));
        Assert.Equal(0, Proxied.Services.GetRequiredService<OrgRateLimit>().Count);
    }

    [Fact]
    public async Task A_request_that_may_pass_costs_the_collector_nothing()
    {
        var org = await SubscriberAsync("export");
        await Allows(await AskAsync(org, "export"));
        var gate = Proxied.Services.GetRequiredService<AuthzGate>();
        var context = new DefaultHttpContext();
        context.Request.Headers["X-Pulse-Authz-Key"] = Key;
        context.Request.Headers["X-Pulse-Org-Id"] = org.ToString();
        context.Request.Headers["X-Pulse-Capability"] = "export";
        Ask(500);

        var before = GC.GetAllocatedBytesForCurrentThread();
        Ask(1000);
        Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);
        Assert.Equal(204, context.Response.StatusCode);

        void Ask(int count)
        {
            for (var i = 0; i < count; i++)
                Assert.True(gate.AnswerAsync(context).IsCompletedSuccessfully);
        }
    }

    [Fact]
    public async Task Every_series_is_there_from_the_start_and_no_other_comes()
    {
        var before = await SeriesAsync();
        Assert.Equal(Enum.GetValues<AuthzOutcome>().Length, before.Count);
        Assert.All(before, line => Assert.EndsWith(" 0", line, StringComparison.Ordinal));

        await AskAsync(Unknown);
        await AskAsync("nonsense", new string('x', 500));
        await AskAsync("default", "anything");

        var after = await SeriesAsync();
        Assert.Equal(before.Select(Name), after.Select(Name));
        Assert.Contains("pulse_authz_decisions_total{reason=\"org_unknown\",result=\"unauthenticated\"} 2", after);
        Assert.Contains("pulse_authz_decisions_total{reason=\"fresh\",result=\"allowed\"} 1", after);

        async Task<List<string>> SeriesAsync() =>
            [.. (await Proxied.Http.GetStringAsync("/metrics")).Split('\n').Where(line => line.StartsWith("pulse_authz_decisions_total{", StringComparison.Ordinal)).Order(StringComparer.Ordinal)];

        static string Name(string line) => line[..line.LastIndexOf(' ')];
    }

    [Theory]
    [InlineData("PULSE_AUTHZ_KEY", "PULSE_AUTHZ_KEY=")]
    [InlineData("PULSE_AUTHZ_KEY", "PULSE_AUTHZ_KEY=short")]
    [InlineData("PULSE_AUTHZ_KEY", "PULSE_AUTHZ_KEY=" + Key + ",short")]
    [InlineData("PULSE_AUTHZ_KEY", "PULSE_AUTHZ_KEY=a key with blanks in it, which no header could hold in one piece")]
    [InlineData("PULSE_AUTHZ_UNKNOWN", "PULSE_AUTHZ_UNKNOWN=maybe")]
    [InlineData("PULSE_AUTHZ_RATE_PER_MINUTE", "PULSE_AUTHZ_RATE_PER_MINUTE=0")]
    [InlineData("PULSE_AUTHZ_ORG_CLAIM", "PULSE_AUTHZ_ORG_CLAIM=org_id")]
    public void A_wrong_setting_stops_the_start_and_is_named(string name, string variable)
    {
        string[] args = ["--PULSE_POSTGRES=postgresql://user:sesame@host/db", $"--{variable}"];

        var mistake = Assert.Single(Assert.Throws<SettingsException>(() => IngressProcess.Build(args)).Mistakes);
        Assert.StartsWith(name + " ", mistake, StringComparison.Ordinal);
        Assert.DoesNotContain(Key, mistake, StringComparison.Ordinal);
    }
}
