using Pulse.EndToEnd.Processes;
using Pulse.Testing;

namespace Pulse.EndToEnd.Signups;

/// <summary>A signup always comes to an end, whatever became of its message.</summary>
public sealed class SweepTests(RunningPulse pulse) : RunningPulseTests(pulse)
{
    const string Failures = """pulse_hosted_provisions_total{status="failure"}""";

    public override Task DisposeAsync() => Pulse.RestartAsync("worker");

    [Fact]
    public async Task A_signup_whose_message_is_lost_is_found_and_provisioned()
    {
        await Pulse.StopAsync("worker");
        var signup = await Pulse.AcceptedAsync(Some.Signup);
        Assert.Equal(1, await Pulse.RunSqlAsync("delete from messaging.outbox where convert_from(body, 'UTF8') like '%' || $1 || '%'", signup.ToString()));

        await Pulse.RestartAsync("worker", ("PULSE_PROVISIONING_OVERDUE_SECONDS", "5"));
        Assert.NotNull(await Pulse.EndsAsync(signup, "provisioned"));
        Assert.True(await Pulse.AskAsync<int>("select attempts from pulse.signups where signup_id = $1", signup) >= 1);
    }

    [Fact]
    public async Task A_signup_that_can_not_be_provisioned_is_given_up_counted_and_its_message_kept()
    {
        await Pulse.StopAsync("worker");
        var signup = await Pulse.AcceptedAsync(Some.Signup);
        // An organization must have a name.
        Assert.Equal(1, await Pulse.RunSqlAsync("update pulse.signups set org_name = null where signup_id = $1", signup));

        await Pulse.RestartAsync("worker", ("PULSE_PROVISIONING_OVERDUE_SECONDS", "5"), ("PULSE_PROVISIONING_ATTEMPTS", "1"));
        try
        {
            Assert.Null(await Pulse.EndsAsync(signup, "failed"));
            await Eventually.Until(async () => await Pulse.MetricAsync(Pulse.Worker, Failures) == 1, TimeSpan.FromSeconds(30), "the failure is counted");
            Assert.Equal("Failed", await Pulse.AskAsync<string>("select current_state from messaging.sagas where saga = 'provisioning' and correlation_id = $1", signup));
            // What it asked for is still there, for who mends it and replays the message.
            Assert.True(await Pulse.AskAsync<bool>("select email is not null from pulse.signups where signup_id = $1", signup));

            // Its redeliveries take a quarter of an hour: as long as one is scheduled, the clock goes on.
            await Eventually.Until(
                async () =>
                {
                    if (await Pulse.AskAsync<long>("select count(*) from pulse.dead_letters where queue = 'provisioning' and ids @> array[$1]", signup) == 1)
                        return true;
                    if (await Pulse.AskAsync<long>("select count(*) from messaging.outbox where convert_from(body, 'UTF8') like '%' || $1 || '%'", signup.ToString()) > 0)
                        await Pulse.ClockAsync("+10m");
                    return false;
                },
                TimeSpan.FromSeconds(60), "its message is among the dead letters");
            // Driven again by each redelivery, it still ended once.
            Assert.Equal("failed", (await Pulse.StatusAsync(signup)).Status);
            Assert.Equal(1, await Pulse.MetricAsync(Pulse.Worker, Failures));
            Assert.Equal(0L, await Pulse.AskAsync<long>("select count(*) from pulse.organizations o join pulse.signups s using (org_id) where s.signup_id = $1", signup));
        }
        finally
        {
            await Pulse.ClockAsync("reset");
            // The next test finds none.
            await Pulse.RunSqlAsync("delete from pulse.dead_letters");
        }
    }
}
