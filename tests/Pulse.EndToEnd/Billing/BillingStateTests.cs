using System.Net;
using System.Text.Json;
using Pulse.EndToEnd.Processes;
using Pulse.Testing;

namespace Pulse.EndToEnd.Billing;

/// <summary>An operator over HTTP, the worker behind the broker, and a service that asks what an organization may do.</summary>
public sealed class BillingStateTests(RunningPulse pulse) : RunningPulseTests(pulse)
{
    [Fact]
    public async Task An_operator_sets_a_billing_state_a_service_sees_it_and_taking_it_back_leaves_what_was()
    {
        var org = await TenantAsync();
        var path = Path(org);
        using var before = await Pulse.SendAsync("GET", path);
        var (trial, tag) = (await JsonAsync(before), before.Headers.ETag!.Tag);
        Assert.Equal("trial", Text(trial, "subscription_state"));
        Assert.False(await AllowedAsync(org, "export"));

        using var set = await Pulse.SendAsync("PUT", path, """{"subscription_state":"active","capabilities":["export"],"limits":{"seats":5},"reason":"by hand"}""", null, ("If-Match", tag));
        var state = await JsonAsync(set);
        Assert.Equal((HttpStatusCode.OK, "active", "override"), (set.StatusCode, Text(state, "subscription_state"), Text(state, "source")));
        using (var after = await Pulse.SendAsync("GET", path))
        {
            Assert.Equal(set.Headers.ETag!.Tag, after.Headers.ETag!.Tag);
            Assert.Equal(state.GetRawText(), (await JsonAsync(after)).GetRawText());
        }

        await Eventually.Until(() => AllowedAsync(org, "export"), TimeSpan.FromSeconds(5), "the service sees it");

        // Who saw an older version changes nothing.
        using (var late = await Pulse.SendAsync("PUT", path, """{"effect":"deny"}""", null, ("If-Match", tag)))
            Assert.Equal(HttpStatusCode.PreconditionFailed, late.StatusCode);
        Assert.True(await AllowedAsync(org, "export"));

        using (var explained = await Pulse.SendAsync("GET", path + "/explain"))
        {
            var told = await JsonAsync(explained);
            Assert.Equal("by hand", Text(told.GetProperty("overrides")[0], "reason"));
            Assert.True(told.GetProperty("overrides")[0].GetProperty("won").GetBoolean());
        }

        using (var back = await Pulse.SendAsync("DELETE", path + "/override"))
        {
            var left = await JsonAsync(back);
            Assert.Equal((HttpStatusCode.OK, "trial", "local_trial"), (back.StatusCode, Text(left, "subscription_state"), Text(left, "source")));
            Assert.Equal(trial.GetProperty("trial_ends_at").GetDateTimeOffset(), left.GetProperty("trial_ends_at").GetDateTimeOffset());
        }

        using var audit = await Pulse.SendAsync("GET", $"/api/admin/orgs/{org}/audit");
        var actors = (await JsonAsync(audit)).GetProperty("items").EnumerateArray().Select(entry => Text(entry, "actor")).ToList();
        Assert.Equal($"key:{Pulse["PULSE_ADMIN_KEY"].Split('_')[1]}", Assert.Single(actors.Distinct()));
        Assert.True(actors.Count >= 2);
    }

    [Fact]
    public async Task A_repeat_with_its_Idempotency_Key_makes_one_override()
    {
        var org = await TenantAsync();
        var key = Some.Key;
        var answers = await Task.WhenAll(Enumerable.Range(0, 5).Select(_ => Pulse.SendAsync("PUT", Path(org), """{"subscription_state":"active"}""", null, ("Idempotency-Key", key))));

        Assert.All(answers, answer => Assert.Equal(HttpStatusCode.OK, answer.StatusCode));
        Assert.Equal(1L, await Pulse.AskAsync<long>("select count(*) from pulse.billing_overrides where org_id = $1", org));
    }

    [Fact]
    public async Task A_command_is_taken_while_the_broker_is_dead_and_done_when_it_is_back()
    {
        var org = await TenantAsync();
        await Pulse.KillAsync("rabbitmq");

        using var accepted = await Pulse.SendAsync("PUT", Path(org), """{"subscription_state":"active"}""");
        Assert.Equal(HttpStatusCode.Accepted, accepted.StatusCode);
        var address = accepted.Headers.Location!.ToString();
        Assert.Equal("pending", Text(await StatusAsync(address), "status"));

        await Pulse.RestartAsync("rabbitmq");
        await Eventually.Until(async () => Text(await StatusAsync(address), "status") == "succeeded", TimeSpan.FromSeconds(90), "it is done");
        using var state = await Pulse.SendAsync("GET", Path(org));
        Assert.Equal("active", Text(await JsonAsync(state), "subscription_state"));
    }

    [Fact]
    public async Task The_command_line_makes_a_key_and_ends_it()
    {
        var key = (await Pulse.ScriptAsync("admin-key", "create", "--scopes", "orgs:read", "--name", "for a test", "--expires", "1h")).Trim();
        using (var answer = await Pulse.SendAsync("GET", "/api/admin/orgs", null, key))
            Assert.Equal(HttpStatusCode.OK, answer.StatusCode);
        using (var answer = await Pulse.SendAsync("GET", "/api/admin/orgs/default/audit", null, key))
            Assert.Equal(HttpStatusCode.Forbidden, answer.StatusCode);
        Assert.Contains("for a test", await Pulse.ScriptAsync("admin-key", "list"), StringComparison.Ordinal);

        await Pulse.ScriptAsync("admin-key", "revoke", key.Split('_')[1]);
        await Eventually.Until(
            async () =>
            {
                using var answer = await Pulse.SendAsync("GET", "/api/admin/orgs", null, key);
                return answer.StatusCode == HttpStatusCode.Unauthorized;
            },
            TimeSpan.FromSeconds(5), "the key opens nothing any more");
    }

    async Task<Guid> TenantAsync() => (await Pulse.EndsAsync(await Pulse.AcceptedAsync(Some.Signup), "provisioned"))!.Value;

    async Task<bool> AllowedAsync(Guid org, string capability)
    {
        using var answer = await Pulse.SendAsync("GET", $"/api/orgs/{org}/entitlements?capability={capability}", null, Pulse["PULSE_SERVICE_KEY"]);
        Assert.Equal(HttpStatusCode.OK, answer.StatusCode);
        return (await JsonAsync(answer)).GetProperty("verdicts").GetProperty(capability).GetProperty("allowed").GetBoolean();
    }

    async Task<JsonElement> StatusAsync(string address)
    {
        using var answer = await Pulse.SendAsync("GET", address);
        return await JsonAsync(answer);
    }

    static async Task<JsonElement> JsonAsync(HttpResponseMessage answer) => JsonSerializer.Deserialize<JsonElement>(await answer.Content.ReadAsByteArrayAsync());

    static string Path(Guid org) => $"/api/admin/orgs/{org}/billing-state";

    static string? Text(JsonElement element, string name) => element.GetProperty(name).GetString();
}
