using System.Net;
using Pulse.Contracts.Lifecycle;
using Pulse.Contracts.Signups;
using Pulse.Testing;

namespace Pulse.EndToEnd.Hooks;

/// <summary>Signups that the platform has a part in, from the POST to their end.</summary>
public sealed class ProvisionHookTests(HookedPulse pulse) : IClassFixture<HookedPulse>, IAsyncLifetime
{
    public Task InitializeAsync() => Task.CompletedTask;

    public Task DisposeAsync()
    {
        pulse.Platform();
        return pulse.HealthyAtRestAsync();
    }

    Task<long> RowsAsync(Guid orgId) => pulse.AskAsync<long>("""
        select (select count(*) from pulse.organizations where org_id = $1) + (select count(*) from pulse.memberships where org_id = $1)
             + (select count(*) from pulse.billing_states where org_id = $1)
        """, orgId);

    [Fact]
    public async Task A_signup_is_provisioning_until_the_platform_is_done_and_a_tenant_then()
    {
        var done = new TaskCompletionSource();
        pulse.Platform(_ => done.Task.IsCompleted ? new HookReply(200) : new HookReply(503) { Headers = new Dictionary<string, string> { ["Retry-After"] = "4" } });
        var signup = await pulse.SignUpAsync();
        await Eventually.Until(
            async () => await pulse.AskAsync<long>("select count(*) from pulse.hook_calls where signup_id = $1 and outcome = 'unavailable'", signup) == 1,
            TimeSpan.FromSeconds(30), "the platform is called");
        await Eventually.Until(async () => (await pulse.StatusAsync(signup)).Status == "provisioning", TimeSpan.FromSeconds(10), "it is told");
        var org = await pulse.OrgOfAsync(signup);
        Assert.Equal(0, await RowsAsync(org));

        done.SetResult();

        Assert.Equal(org, await pulse.EndsAsync(signup, "provisioned"));
        Assert.Equal(3, await RowsAsync(org));
        Assert.Equal(1, pulse.Receiver.Made(org));
        Assert.Contains(org, pulse.Receiver.Tenants);
        await Eventually.Until(
            async () => await pulse.MetricAsync("""pulse_hook_calls_total{outcome="done",type="provision"}""") >= 1
                && await pulse.MetricAsync("""pulse_hook_calls_waiting{type="provision"}""") == 0,
            TimeSpan.FromSeconds(20), "it is counted");
    }

    [Fact]
    public async Task A_refusal_fails_the_signup_and_leaves_nothing()
    {
        pulse.Platform(_ => new HookReply(403));

        var signup = await pulse.SignUpAsync();
        await pulse.EndsAsync(signup, "failed");

        var org = await pulse.OrgOfAsync(signup);
        Assert.Equal(0, await RowsAsync(org));
        Assert.Equal("tenant.provision", Assert.Single(pulse.Receiver.Received, received => received.OrgId == org).Type);
    }

    [Fact]
    public async Task What_was_given_up_but_done_all_the_same_is_taken_back()
    {
        // Takes ten times as long as it may, and does it.
        pulse.Platform(received => received.IsProvision ? new HookReply(200) { After = TimeSpan.FromSeconds(10) } : new HookReply(received.Number == 1 ? 500 : 200));

        var signup = await pulse.SignUpAsync();
        await pulse.EndsAsync(signup, "failed");
        var org = await pulse.OrgOfAsync(signup);

        await Eventually.Until(() => !pulse.Receiver.Tenants.Contains(org), TimeSpan.FromSeconds(30), "the orphan is gone");
        Assert.Equal(1, pulse.Receiver.Made(org));
        Assert.Equal(0, await RowsAsync(org));
        Assert.Equal(3, pulse.Receiver.Received.Count(received => received.OrgId == org && received.IsProvision));
    }

    [Fact]
    public async Task A_failed_signup_that_is_replayed_becomes_a_tenant_that_no_late_clean_up_can_touch()
    {
        var refusing = true;
        pulse.Platform(received => received.IsProvision ? new HookReply(refusing ? 500 : 200) { Works = true } : new HookReply(503));
        var signup = await pulse.SignUpAsync();
        await pulse.EndsAsync(signup, "failed");
        var first = await pulse.OrgOfAsync(signup);

        refusing = false;
        await pulse.PublishAsync(new SignupRequested { SignupId = signup, AcceptedAt = DateTimeOffset.UtcNow });
        await Eventually.Until(async () => (await pulse.StatusAsync(signup)).Status == "provisioned", TimeSpan.FromSeconds(30), "it is a tenant after all");
        var second = (await pulse.StatusAsync(signup)).OrgId!.Value;
        Assert.NotEqual(first, second);

        pulse.Platform();
        await Eventually.Until(() => !pulse.Receiver.Tenants.Contains(first), TimeSpan.FromSeconds(60), "the first try is taken back");
        Assert.Contains(second, pulse.Receiver.Tenants);
        Assert.Equal(3, await RowsAsync(second));
    }

    [Fact]
    public async Task Scenario_3_a_platform_that_tells_later_is_waited_for_and_a_failure_after_provisioning_does_not_undo_the_tenant()
    {
        pulse.Platform(_ => new HookReply(202) { Works = true });
        var signup = await pulse.SignUpAsync();
        HookReceived? call = null;
        await Eventually.Until(
            async () => await pulse.AskAsync<long>("select count(*) from pulse.hook_calls where signup_id = $1 and status = 'waiting'", signup) == 1, TimeSpan.FromSeconds(30), "it is waited for");
        call = pulse.Receiver.Received.Last(received => received.IsProvision);
        Assert.Equal("provisioning", (await pulse.StatusAsync(signup)).Status);

        Assert.Equal(HttpStatusCode.OK, await pulse.CompleteAsync(call.Callback!, "succeeded"));
        Assert.Equal(call.OrgId, await pulse.EndsAsync(signup, "provisioned"));

        Assert.Equal(HttpStatusCode.Conflict, await pulse.CompleteAsync(call.Callback!, "failed"));
        await pulse.HealthyAtRestAsync();
        Assert.Equal(3, await RowsAsync(call.OrgId));
        Assert.DoesNotContain(pulse.Receiver.Received, received => received.OrgId == call.OrgId && !received.IsProvision);
    }

    [Fact]
    public async Task A_platform_that_never_tells_is_given_up()
    {
        pulse.Platform(received => received.IsProvision ? new HookReply(202) { Works = true } : new HookReply(200));

        var signup = await pulse.SignUpAsync();
        await pulse.EndsAsync(signup, "failed");

        var org = await pulse.OrgOfAsync(signup);
        await Eventually.Until(() => !pulse.Receiver.Tenants.Contains(org), TimeSpan.FromSeconds(30), "the orphan is gone");
        Assert.Equal(0, await RowsAsync(org));
    }

    [Fact]
    public async Task A_known_email_calls_nobody_and_of_two_at_once_one_is_taken_back()
    {
        pulse.Platform(_ => new HookReply(200) { After = TimeSpan.FromMilliseconds(500) });
        var email = Some.Email;
        var signups = await Task.WhenAll(Enumerable.Range(0, 2).Select(_ => pulse.SignUpAsync(Some.Signup with { Email = email })));
        await Eventually.Until(
            async () => (await Task.WhenAll(signups.Select(pulse.StatusAsync))).Count(status => status.Status is "provisioned" or "existing") == 2, TimeSpan.FromSeconds(30), "both have ended");

        var ends = await Task.WhenAll(signups.Select(pulse.StatusAsync));
        Assert.Equal(["existing", "provisioned"], ends.Select(end => end.Status).Order());
        var org = ends.Single(end => end.Status == "provisioned").OrgId!.Value;
        var loser = signups.Single(signup => signup != signups[Array.FindIndex(ends, end => end.Status == "provisioned")]);
        var others = await pulse.AskAsync<Guid[]>("select coalesce(array_agg(org_id), '{}') from pulse.hook_calls where signup_id = $1", loser);
        await Eventually.Until(() => !pulse.Receiver.Tenants.Overlaps(others), TimeSpan.FromSeconds(30), "nothing is left for the other");
        Assert.Contains(org, pulse.Receiver.Tenants);

        var before = pulse.Receiver.Received.Count;
        await pulse.EndsAsync(await pulse.SignUpAsync(Some.Signup with { Email = email }), "existing");
        Assert.Equal(before, pulse.Receiver.Received.Count);
        Assert.Equal(3, await RowsAsync(org));
    }

    [Fact]
    public async Task A_purge_is_answered_when_the_platform_has_nothing_left_and_a_repeat_as_well()
    {
        pulse.Platform();
        var org = (await pulse.EndsAsync(await pulse.SignUpAsync(), "provisioned"))!.Value;
        var purge = Guid.CreateVersion7();
        pulse.Platform(received => new HookReply(received.Number < 3 ? 404 : 200));

        await pulse.PublishAsync(new DeprovisionTenant { PurgeId = purge, OrgId = org });
        await Eventually.Until(() => pulse.Deprovisioned.Contains(purge), TimeSpan.FromSeconds(30), "the purge is answered");
        Assert.DoesNotContain(org, pulse.Receiver.Tenants);
        Assert.Equal(3, pulse.Receiver.Received.Count(received => received.OrgId == org && !received.IsProvision));
        // The rows are the purge's.
        Assert.Equal(3, await RowsAsync(org));

        await pulse.PublishAsync(new DeprovisionTenant { PurgeId = purge, OrgId = org });
        await Eventually.Until(() => pulse.Deprovisioned.Count(id => id == purge) == 2, TimeSpan.FromSeconds(30), "the repeat is answered");
        Assert.Equal(3, pulse.Receiver.Received.Count(received => received.OrgId == org && !received.IsProvision));
    }
}
