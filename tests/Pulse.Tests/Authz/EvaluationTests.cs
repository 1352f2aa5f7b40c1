using System.Text;
using System.Text.Json;
using Pulse.Contracts.Keys;
using Pulse.Tests.Signups;

namespace Pulse.Tests.Authz;

public sealed class EvaluationTests(TestPostgres postgres) : AuthzBed(postgres)
{
    const string Path = "/access/v1/evaluation";

    string _key = "";

    public override async Task InitializeAsync()
    {
        await base.InitializeAsync();
        _key = await Postgres.KeyAsync(Scopes.EntitlementsRead);
    }

    [Fact]
    public async Task A_member_may_what_the_role_allows_and_hears_why_not()
    {
        var org = await SubscriberAsync("export");
        var owner = await OwnerAsync(org);
        var viewer = await MemberAsync(org, "viewer");

        Assert.Equal((true, null), await AskAsync(owner, "delete_organization", org));
        Assert.Equal((true, null), await AskAsync(viewer, "read", org));
        Assert.Equal((false, "role_insufficient"), await AskAsync(viewer, "write", org));
        Assert.Equal((false, "action_unknown"), await AskAsync(owner, "fly", org));
        Assert.Equal((true, null), await AskAsync(owner, "write", org, "export"));
        Assert.Equal((false, "capability_missing"), await AskAsync(owner, "write", org, "sso"));
    }

    [Fact]
    public async Task Scenario_6_an_owner_cannot_unsuspend_or_restore_their_own_organization()
    {
        var org = await SubscriberAsync();
        var owner = await OwnerAsync(org);

        foreach (var (status, reason) in new[] { ("active", null), ("suspended", "org_suspended"), ("pending_deletion", "org_pending_deletion") })
        {
            await Postgres.RunAsync("update pulse.organizations set status = $2 where org_id = $1", org, status);
            await Eventually.Until(async () => await AskAsync(owner, "read", org) == (reason is null, reason), TimeSpan.FromSeconds(10), $"it is known to be {status}");

            foreach (var action in (string[])["unsuspend_organization", "restore_organization"])
                Assert.Equal((false, "operators_only"), await AskAsync(owner, action, org));
            if (reason is not null)
            {
                foreach (var action in (string[])["write", "manage_members", "manage_billing", "delete_organization"])
                    Assert.Equal((false, reason), await AskAsync(owner, action, org));
            }
        }

        // Nor by the operators' verbs: what a member's service may ask with opens none of them.
        foreach (var verb in (string[])["unsuspend", "restore"])
            await (await SendAsync(Proxied, "POST", $"/api/admin/orgs/{org}/{verb}", _key)).IsProblem(403, "insufficient_scope");
    }

    [Fact]
    public async Task A_member_of_another_organization_is_answered_as_a_stranger_to_one_that_is_not_there()
    {
        var (org, other) = (await SubscriberAsync(), await SubscriberAsync());
        var owner = await OwnerAsync(org);
        var stranger = await RawAsync(Body(Guid.CreateVersion7().ToString(), "read", Unknown));

        foreach (var action in (string[])["read", "write", "manage_members", "manage_billing", "delete_organization", "unsuspend_organization", "fly"])
            Assert.Equal(stranger, await RawAsync(Body(owner.ToString(), action, other.ToString())));
        foreach (var (user, resource) in new[] { ("nonsense", org.ToString()), (owner.ToString(), "nonsense"), (owner.ToString(), "default"), ($"{owner}' or true--", org.ToString()), (owner.ToString(), $"{org} ") })
            Assert.Equal(stranger, await RawAsync(Body(user, "read", resource)));
        Assert.Equal(stranger, await RawAsync(Body(owner.ToString(), "read", org.ToString()).Replace("\"user\"", "\"service\"", StringComparison.Ordinal)));
        Assert.Equal(stranger, await RawAsync(Body(owner.ToString(), "read", org.ToString()).Replace("\"organization\"", "\"project\"", StringComparison.Ordinal)));
        Assert.Equal((true, null), await AskAsync(owner, "read", org));
    }

    [Fact]
    public async Task A_question_may_hold_what_Pulse_does_not_know()
    {
        var org = await SubscriberAsync();
        var owner = await OwnerAsync(org);
        var deep = string.Concat(Enumerable.Repeat("{\"a\":", 20)) + "1" + new string('}', 20);

        Assert.Equal("""{"decision":true}""", await RawAsync($$$"""
            {"subject":{"type":"user","id":"{{{owner}}}","properties":{"department":"Sales"}},"action":{"name":"read","properties":{"method":"GET"}},
             "resource":{"type":"organization","id":"{{{org}}}","properties":{{{deep}}}},"context":{"time":"2025-06-27T18:03-07:00"},"futureField":{"nested":true}}
            """));
    }

    [Theory]
    [InlineData("")]
    [InlineData("{")]
    [InlineData("[]")]
    [InlineData("{}")]
    [InlineData("""{"action":{"name":"read"},"resource":{"type":"organization","id":"x"}}""")]
    [InlineData("""{"subject":{"type":"user","id":"x"},"resource":{"type":"organization","id":"x"}}""")]
    [InlineData("""{"subject":{"type":"user","id":"x"},"action":{"name":"read"}}""")]
    [InlineData("""{"subject":{"id":"x"},"action":{"name":"read"},"resource":{"type":"organization","id":"x"}}""")]
    [InlineData("""{"subject":{"type":"user"},"action":{"name":"read"},"resource":{"type":"organization","id":"x"}}""")]
    [InlineData("""{"subject":{"type":"user","id":"x"},"action":{},"resource":{"type":"organization","id":"x"}}""")]
    [InlineData("""{"subject":{"type":"user","id":"x"},"action":{"name":"read"},"resource":{"id":"x"}}""")]
    [InlineData("""{"subject":{"type":"user","id":"x"},"action":{"name":"read"},"resource":{"type":"organization"}}""")]
    [InlineData("""{"subject":"alice","action":{"name":"read"},"resource":{"type":"organization","id":"x"}}""")]
    [InlineData("""{"subject":{"type":"user","id":"x"},"action":{"name":123},"resource":{"type":"organization","id":"x"}}""")]
    [InlineData("""{"subject":{"type":"user","id":"x"},"action":{"name":"\u0000"},"resource":{"type":"organization","id":"x"}}""")]
    [InlineData("""{"subject":{"type":"user","id":"\ud800"},"action":{"name":"read"},"resource":{"type":"organization","id":"x"}}""")]
    [InlineData("""{"subject":{"type":"user","id":"x"},"action":{"name":"read"},"resource":{"type":"organization","id":"x"},"context":[]}""")]
    [InlineData("""{"subject":{"type":"user","id":"x"},"action":{"name":"read"},"resource":{"type":"organization","id":"x"},"context":{"capability":7}}""")]
    public async Task What_is_no_question_is_400_with_its_request_s_id(string body)
    {
        var answer = await SendAsync(Proxied, "POST", Path, _key, Encoding.UTF8.GetBytes(body), ("X-Request-ID", "id-7"));

        await answer.IsProblem(400, "invalid_request");
        Assert.Equal("id-7", answer.Header("X-Request-ID"));
    }

    [Fact]
    public async Task Who_asks_needs_a_key_that_may_read_entitlements()
    {
        var body = Encoding.UTF8.GetBytes(Body(Unknown, "read", Unknown));
        var without = await SendAsync(Proxied, "POST", Path, null, body, ("X-Request-ID", "bfe9eb29-ab87-4ca3-be83-a1d5d8305716"));

        await without.IsProblem(401, "unauthorized");
        Assert.Equal("bfe9eb29-ab87-4ca3-be83-a1d5d8305716", without.Header("X-Request-ID"));
        await (await SendAsync(Proxied, "POST", Path, await Postgres.KeyAsync(Scopes.OrgsRead), body)).IsProblem(403, "insufficient_scope");
    }

    [Fact]
    public async Task An_id_that_can_t_stand_in_an_answer_is_left_out_of_it()
    {
        foreach (var id in (string[])["\u00ff", new('x', 257), "a\tb"])
        {
            var answer = await SendAsync(Proxied, "POST", Path, _key, Encoding.UTF8.GetBytes(Body(Unknown, "read", Unknown)), ("X-Request-ID", id));
            Assert.Equal((200, null), ((int)answer.StatusCode, answer.Header("X-Request-ID")));
        }
    }

    [Fact]
    public async Task The_metadata_say_where_it_is()
    {
        var answer = await Proxied.Http.GetAsync("/.well-known/authzen-configuration");

        var metadata = await answer.Json();
        var here = Proxied.Http.BaseAddress!.ToString().TrimEnd('/');
        Assert.Equal("application/json", answer.Content.Headers.ContentType?.MediaType);
        Assert.Equal((here, here + Path), (metadata.GetProperty("policy_decision_point").GetString(), metadata.GetProperty("access_evaluation_endpoint").GetString()));

        using var elsewhere = new HttpRequestMessage(HttpMethod.Get, "/.well-known/authzen-configuration") { Headers = { Host = "pdp.example.com" } };
        Assert.Equal("https://pdp.example.com", (await (await Proxied.Http.SendAsync(elsewhere)).Json()).GetProperty("policy_decision_point").GetString());
    }

    static string Body(string user, string action, string org, string? capability = null) => JsonSerializer.Serialize(new
    {
        subject = new { type = "user", id = user },
        action = new { name = action },
        resource = new { type = "organization", id = org },
        context = capability is null ? new Dictionary<string, string>() : new Dictionary<string, string> { ["capability"] = capability },
    });

    async Task<string> RawAsync(string body)
    {
        var answer = await SendAsync(Proxied, "POST", Path, _key, Encoding.UTF8.GetBytes(body));
        Assert.Equal((200, "application/json"), ((int)answer.StatusCode, answer.Content.Headers.ContentType?.MediaType));
        return await answer.Content.ReadAsStringAsync();
    }

    async Task<(bool Decision, string? Reason)> AskAsync(Guid user, string action, Guid org, string? capability = null)
    {
        var answer = JsonSerializer.Deserialize<JsonElement>(await RawAsync(Body(user.ToString(), action, org.ToString(), capability)));
        return (answer.GetProperty("decision").GetBoolean(), answer.TryGetProperty("context", out var context) ? context.GetProperty("reason").GetString() : null);
    }

    Task<Guid> OwnerAsync(Guid org) => Postgres.AskAsync<Guid>("select user_id from pulse.memberships where org_id = $1 and role = 'owner'", org);

    Task<Guid> MemberAsync(Guid org, string role) => Postgres.AskAsync<Guid>("""
        with made as (
            insert into pulse.users (user_id, email, email_normalized, created_at) values (gen_random_uuid(), $3, $3, now()) returning user_id),
        joined as (
            insert into pulse.memberships (org_id, user_id, role, created_at) select $1, user_id, $2, now() from made)
        select user_id from made
        """, org, role, Some.Email);
}
