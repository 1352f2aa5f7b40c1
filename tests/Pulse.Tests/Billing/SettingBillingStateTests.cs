using System.Text.Json;
using Pulse.Contracts.Keys;
using Pulse.Tests.Admin;
using Pulse.Tests.Signups;

namespace Pulse.Tests.Billing;

public sealed class SettingBillingStateTests(TestPostgres postgres) : AdminTests(postgres)
{
    string _key = "";
    Guid _org;

    public override async Task InitializeAsync()
    {
        await base.InitializeAsync();
        _key = await Postgres.KeyAsync(Scopes.BillingWrite);
        _org = await TenantAsync();
    }

    string Path => $"/api/admin/orgs/{_org}/billing-state";

    [Theory]
    [InlineData("""{"subscription_state":"paid"}""", "invalid_subscription_state", "subscription_state")]
    [InlineData("""{"subscription_state":"Active"}""", "invalid_subscription_state", "subscription_state")]
    [InlineData("""{"subscription_state":""}""", "invalid_subscription_state", "subscription_state")]
    [InlineData("""{"subscription_state":7}""", "invalid_subscription_state", "subscription_state")]
    [InlineData("""{"subscription_state":["active"]}""", "invalid_subscription_state", "subscription_state")]
    [InlineData("""{"subscription_state":"active\u0000"}""", "invalid_subscription_state", "subscription_state")]
    [InlineData("""{"effect":"allow","subscription_state":"active"}""", "invalid_request", "effect")]
    [InlineData("""{"effect":"deny","subscription_state":"active"}""", "invalid_request", "effect")]
    [InlineData("{}", "invalid_request", "effect")]
    [InlineData("""{"effect":"grant","reason":"nothing"}""", "invalid_request", "effect")]
    [InlineData("""{"subscription_state":null,"reason":"nothing"}""", "invalid_request", "effect")]
    [InlineData("""{"capabilities":"api"}""", "invalid_request", "capabilities")]
    [InlineData("""{"capabilities":["api","api"]}""", "invalid_request", "capabilities")]
    [InlineData("""{"capabilities":["api",""]}""", "invalid_request", "capabilities")]
    [InlineData("""{"capabilities":["api",null]}""", "invalid_request", "capabilities")]
    [InlineData("""{"capabilities":["a\u0000"]}""", "invalid_request", "capabilities")]
    [InlineData("""{"capabilities":["\ud800"]}""", "invalid_request", "capabilities")]
    [InlineData("""{"meters_enabled":{}}""", "invalid_request", "meters_enabled")]
    [InlineData("""{"limits":{"seats":-1}}""", "invalid_request", "limits")]
    [InlineData("""{"limits":{"seats":1.5}}""", "invalid_request", "limits")]
    [InlineData("""{"limits":{"seats":"5"}}""", "invalid_request", "limits")]
    [InlineData("""{"limits":{"seats":9223372036854775808}}""", "invalid_request", "limits")]
    [InlineData("""{"limits":{"":1}}""", "invalid_request", "limits")]
    [InlineData("""{"limits":{"a\u0000b":1}}""", "invalid_request", "limits")]
    [InlineData("""{"limits":[1]}""", "invalid_request", "limits")]
    [InlineData("""{"trial_ends_at":"tomorrow"}""", "invalid_request", "trial_ends_at")]
    [InlineData("""{"trial_ends_at":"2030-01-01"}""", "invalid_request", "trial_ends_at")]
    [InlineData("""{"trial_ends_at":"2030-01-01T00:00:00"}""", "invalid_request", "trial_ends_at")]
    [InlineData("""{"grace_until":"2030-02-30T00:00:00Z"}""", "invalid_request", "grace_until")]
    [InlineData("""{"grace_until":"0001-01-01T00:00:00+14:00"}""", "invalid_request", "grace_until")]
    [InlineData("""{"grace_until":1}""", "invalid_request", "grace_until")]
    [InlineData("""{"subscription_state":"active","expires_at":"2020-01-01T00:00:00Z"}""", "invalid_request", "expires_at")]
    [InlineData("""{"subscription_state":"active","expire_at":"2040-01-01T00:00:00Z"}""", "invalid_request", "expire_at")]
    [InlineData("""{"subscription_state":"active","reason":"\u0000"}""", "invalid_request", "reason")]
    [InlineData("""{"plan_version":""}""", "invalid_request", "plan_version")]
    [InlineData("""{"plan_version":"no-such-plan"}""", "invalid_request", "plan_version")]
    public async Task What_is_no_billing_state_is_400_and_its_field_is_named(string body, string code, string field)
    {
        var problem = await (await SendAsync("PUT", Path, _key, body)).IsProblem(400, code);

        Assert.Equal([field], problem.GetProperty("errors").EnumerateObject().Select(error => error.Name));
        Assert.Equal(0L, await Postgres.AskAsync<long>("select count(*) from pulse.operations where org_id = $1", _org));
    }

    [Fact]
    public async Task Texts_and_lists_have_their_bounds()
    {
        foreach (var (field, value) in ((string, object)[])
            [("reason", new string('x', 501)), ("plan_version", new string('x', 101)), ("capabilities", (string[])[new string('x', 101)]), ("capabilities", Enumerable.Range(0, 201).Select(number => $"c{number}"))])
        {
            var body = JsonSerializer.Serialize(new Dictionary<string, object> { ["subscription_state"] = "active", [field] = value });
            var problem = await (await SendAsync("PUT", Path, _key, body)).IsProblem(400, "invalid_request");
            Assert.True(problem.GetProperty("errors").TryGetProperty(field, out _));
        }
    }

    [Fact]
    public async Task What_was_read_may_be_sent_back_and_what_is_null_was_not_given()
    {
        var request = await RequestAsync("""
            {"capabilities":["b","a"],"limits":{"seats":5},"meters_enabled":[],"plan_version":"trial","subscription_state":"grace","trial_ends_at":null,
             "grace_until":"2030-01-01T02:00:00+02:00","source":"stripe","version":3}
            """);

        Assert.Equal("""{"state": {"limits": {"seats": 5}, "grace_until": "2030-01-01T00:00:00+00:00", "capabilities": ["b", "a"], "plan_version": "trial", "meters_enabled": [], "subscription_state": "grace"}, "effect": "pin"}""", request);
    }

    [Fact]
    public async Task A_plan_of_another_name_needs_its_capabilities_beside_it()
    {
        Assert.Contains("\"by hand\"", await RequestAsync("""{"plan_version":"by hand","capabilities":["api"]}"""), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Deny_takes_everything_and_needs_nothing_else()
    {
        var end = Clock.GetUtcNow().AddHours(1);

        Assert.Equal($$"""{"state": {}, "effect": "deny", "reason": "fraud", "expires_at": "{{end:yyyy-MM-ddTHH:mm:ss}}+00:00"}""",
            await RequestAsync($$"""{"effect":"deny","reason":"fraud","expires_at":"{{end:yyyy-MM-ddTHH:mm:ssZ}}"}"""));
    }

    [Theory]
    [InlineData("\"3\"", 3)]
    [InlineData("3", 3)]
    [InlineData("*", null)]
    public async Task The_version_asked_for_goes_to_the_worker(string tag, int? version)
    {
        var request = JsonDocument.Parse(await RequestAsync("""{"subscription_state":"active"}""", ("If-Match", tag))).RootElement;

        Assert.Equal(version, request.TryGetProperty("if_match", out var match) ? match.GetInt32() : null);
    }

    [Theory]
    [InlineData("W/\"3\"", 412, "precondition_failed")]
    [InlineData("\"abc\"", 412, "precondition_failed")]
    [InlineData("\"1\", \"2\"", 400, "invalid_request")]
    [InlineData("abc", 400, "invalid_request")]
    [InlineData("-1", 400, "invalid_request")]
    public async Task A_version_that_Pulse_never_gave_is_refused_at_once(string tag, int status, string code)
    {
        foreach (var (method, path) in ((string, string)[])[("PUT", Path), ("DELETE", Path + "/override")])
            await (await SendAsync(method, path, _key, """{"subscription_state":"active"}""", ("If-Match", tag))).IsProblem(status, code);
    }

    [Fact]
    public async Task Nobody_can_set_what_does_not_exist_and_nothing_comes_into_being_by_it()
    {
        foreach (var id in (string[])[Unknown, Guid.NewGuid().ToString(), "nonsense"])
        {
            await (await SendAsync("PUT", $"/api/admin/orgs/{id}/billing-state", _key, """{"subscription_state":"active"}""")).IsProblem(404, "not_found");
            await (await SendAsync("DELETE", $"/api/admin/orgs/{id}/billing-state/override", _key)).IsProblem(404, "not_found");
        }

        Assert.Equal(0L, await Postgres.AskAsync<long>("select count(*) from pulse.operations where org_id is null or org_id not in (select org_id from pulse.organizations)"));
    }

    [Theory]
    [InlineData("default")]
    [InlineData("00000000-0000-7000-8000-000000000000")]
    public async Task The_platform_s_own_organization_can_t_be_given_a_billing_state(string id)
    {
        await (await SendAsync("PUT", $"/api/admin/orgs/{id}/billing-state", _key, """{"subscription_state":"active"}""")).IsProblem(400, "default_org_immutable");
        await (await SendAsync("DELETE", $"/api/admin/orgs/{id}/billing-state/override", _key)).IsProblem(400, "default_org_immutable");
    }

    [Fact]
    public async Task Of_an_organization_that_is_not_active_the_answer_says_so()
    {
        await Postgres.RunAsync("update pulse.organizations set status = 'suspended' where org_id = $1", _org);
        var answer = SendAsync("PUT", Path, _key, """{"subscription_state":"active"}""");
        await SucceedAsync(await PendingAsync(_org), Result());

        var state = await (await answer).Json();
        Assert.Equal(("lifecycle", "suspended"), (state.GetProperty("source").GetString(), state.GetProperty("subscription_state").GetString()));
    }

    async Task<string> RequestAsync(string body, params (string Name, string Value)[] headers)
    {
        var answer = SendAsync("PUT", Path, _key, body, headers);
        var operation = await PendingAsync(_org);
        await SucceedAsync(operation, Result());
        Assert.Equal(200, (int)(await answer).StatusCode);
        return await Postgres.AskAsync<string>("select request::text from pulse.operations where operation_id = $1", operation);
    }
}
