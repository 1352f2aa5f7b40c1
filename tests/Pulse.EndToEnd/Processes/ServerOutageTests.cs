using System.Net;
using Pulse.Testing;

namespace Pulse.EndToEnd.Processes;

/// <summary>A server dies under both processes and comes back. Nobody restarts the processes.</summary>
public sealed class ServerOutageTests(RunningPulse pulse) : RunningPulseTests(pulse)
{
    [Fact]
    public async Task Signups_are_accepted_while_the_broker_is_dead_and_provisioned_when_it_is_back()
    {
        var (worker, ingress) = (Pulse.Pid("worker"), Pulse.Pid("ingress"));
        await Pulse.KillAsync("rabbitmq");
        var signups = new List<Guid>();
        for (var times = 0; times < 10; times++)
            signups.Add(await Pulse.AcceptedAsync(Some.Signup));

        await Eventually.Until(
            async () => await Health.ReadyAsync(Pulse.Worker) == HttpStatusCode.ServiceUnavailable, TimeSpan.FromSeconds(60), "the worker is unready");
        Assert.Equal(HttpStatusCode.OK, await Health.ReadyAsync(Pulse.Ingress));
        Assert.Equal("accepted", (await Pulse.StatusAsync(signups[0])).Status);
        Assert.Equal(signups.Count, await Pulse.CountAsync(signups, "accepted"));

        await Pulse.RestartAsync("rabbitmq");
        foreach (var signup in signups)
            await Pulse.EndsAsync(signup, "provisioned", withinSeconds: 90);
        await ReadyAsync();
        Assert.Equal((worker, ingress), (Pulse.Pid("worker"), Pulse.Pid("ingress")));
        Assert.Empty(await Pulse.DeadLettersAsync());
    }

    [Fact]
    public async Task A_signup_is_told_to_come_back_while_Postgres_is_dead_and_both_processes_recover_by_themselves()
    {
        var (worker, ingress) = (Pulse.Pid("worker"), Pulse.Pid("ingress"));
        var before = await Pulse.AcceptedAsync(Some.Signup);
        await Pulse.KillAsync("postgres");
        // A backend outlives the one that was killed by a moment, and goes on storing.
        await Eventually.Until(
            async () => await Health.ReadyAsync(Pulse.Ingress) == HttpStatusCode.ServiceUnavailable && await Health.ReadyAsync(Pulse.Worker) == HttpStatusCode.ServiceUnavailable,
            TimeSpan.FromSeconds(60), "both processes are unready");

        using (var answer = await Pulse.SignupAsync(Some.Signup))
        {
            Assert.Equal(HttpStatusCode.ServiceUnavailable, answer.StatusCode);
            Assert.True(answer.Headers.RetryAfter?.Delta > TimeSpan.Zero);
            Assert.Equal("application/problem+json", answer.Content.Headers.ContentType?.MediaType);
        }

        await Pulse.RestartAsync("postgres");
        await ReadyAsync();
        await Pulse.EndsAsync(before, "provisioned", withinSeconds: 90);
        await Pulse.EndsAsync(await Pulse.AcceptedAsync(Some.Signup), "provisioned", withinSeconds: 90);
        Assert.Equal((worker, ingress), (Pulse.Pid("worker"), Pulse.Pid("ingress")));
        Assert.True(Pulse.Runs("worker") && Pulse.Runs("ingress"));
        Assert.Empty(await Pulse.DeadLettersAsync());
    }

    [Fact]
    public async Task A_webhook_is_answered_with_200_while_the_broker_is_dead_and_applied_when_it_is_back()
    {
        var org = (await Pulse.EndsAsync(await Pulse.AcceptedAsync(Some.Signup), "provisioned", withinSeconds: 90))!.Value;
        await Pulse.KillAsync("rabbitmq");

        // The double signs and posts its events by itself; what was not answered with a 2xx would be undelivered.
        await Pulse.StripeAsync("prices/add", new { id = "pro_monthly" });
        var customer = (await Pulse.StripeAsync("customers/create", new { org_id = org.ToString() })).GetProperty("id").GetString()!;
        await Pulse.StripeAsync("subscriptions/create", new { customer, price = "pro_monthly", status = "active", org_id = org.ToString() });
        await Pulse.StripeAsync("events/quiet", new { seconds = 30 });
        Assert.DoesNotContain((await Pulse.StripeAsync("events/undelivered", new { })).EnumerateArray(), left => left.GetProperty("customer").GetString() == customer);
        Assert.Equal("trial", await Pulse.AskAsync<string>(StateSql, org));

        await Pulse.RestartAsync("rabbitmq");
        await Eventually.Until(async () => await Pulse.AskAsync<string>(StateSql, org) == "active", TimeSpan.FromSeconds(90), "what was paid for is there");
        await ReadyAsync();
    }

    const string StateSql = "select subscription_state from pulse.billing_states where org_id = $1";

    Task ReadyAsync() => Eventually.Until(
        async () => await Health.ReadyAsync(Pulse.Worker) == HttpStatusCode.OK && await Health.ReadyAsync(Pulse.Ingress) == HttpStatusCode.OK,
        TimeSpan.FromSeconds(60), "both processes are ready again");
}
