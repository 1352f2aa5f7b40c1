using System.Net;
using Pulse.Testing;

namespace Pulse.EndToEnd.Processes;

/// <summary>What a restart must not forget.</summary>
public sealed class RestartTests(RunningPulse pulse) : RunningPulseTests(pulse)
{
    [Fact]
    public async Task Scenario_13_the_first_scrape_after_a_restart_has_the_right_number_of_tenants()
    {
        await Pulse.EndsAsync(await Pulse.AcceptedAsync(Some.Signup), "provisioned");
        await Pulse.KillAsync("worker");

        // The script returns as soon as /health/ready says so.
        await Pulse.RestartAsync("worker");
        var told = await Pulse.MetricAsync(Pulse.Worker, "pulse_hosted_active_tenants");

        Assert.Equal(await Pulse.AskAsync<long>("select count(*) from pulse.organizations where status = 'active' and not is_default"), told);
        Assert.True(told >= 1);
    }

    [Fact]
    public async Task Scenario_14_a_restart_of_the_ingress_clears_no_limit()
    {
        var (client, email) = (Some.Client, Some.Email);
        for (var times = 0; times < 5; times++)
            await Pulse.AcceptedAsync(Some.Signup, client);
        for (var times = 0; times < 3; times++)
            await Pulse.AcceptedAsync(Some.Signup with { Email = email });

        await Pulse.KillAsync("ingress");
        await Pulse.RestartAsync("ingress");

        using (var answer = await Pulse.SignupAsync(Some.Signup, client))
            Assert.Equal(HttpStatusCode.TooManyRequests, answer.StatusCode);
        // Over the limit of an email the answer is the same, but nothing is to come of it: it has ended already.
        var fourth = await Pulse.AcceptedAsync(Some.Signup with { Email = email });
        Assert.Equal(0L, await Pulse.AskAsync<long>("select count(*) from messaging.sagas where correlation_id = $1", fourth));
        Assert.Equal("existing", (await Pulse.StatusAsync(fourth)).Status);
        Assert.Equal(1L, await Pulse.AskAsync<long>("select count(*) from pulse.signups where signup_id = $1 and updated_at = accepted_at", fourth));
    }

    [Fact]
    public async Task An_idempotency_key_is_known_after_a_restart()
    {
        var (signup, key) = (Some.Signup, Some.Key);
        var first = await Pulse.AcceptedAsync(signup, key: key);
        await Pulse.KillAsync("ingress");
        await Pulse.RestartAsync("ingress");

        Assert.Equal(first, await Pulse.AcceptedAsync(signup, key: key));
        using var other = await Pulse.SignupAsync(Some.Signup, key: key);
        Assert.Equal(HttpStatusCode.UnprocessableEntity, other.StatusCode);
    }
}
