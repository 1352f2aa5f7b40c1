using Pulse.Testing;

namespace Pulse.EndToEnd.Processes;

/// <summary>kill -9 in the middle of five hundred signups.</summary>
public sealed class KillTests(RunningPulse pulse) : RunningPulseTests(pulse)
{
    [Fact]
    public async Task A_worker_that_is_killed_loses_no_signup_and_does_none_twice()
    {
        var crowd = new Crowd(Pulse);
        var posting = crowd.SignUpAsync(500);
        await Eventually.Until(async () => crowd.Answered > 0 && await Pulse.CountAsync(crowd.Signups, "provisioned") > 50, TimeSpan.FromSeconds(60), "some are provisioned");
        await Pulse.KillAsync("worker");
        await posting;
        // It was in the middle.
        Assert.InRange(await Pulse.CountAsync(crowd.Signups, "provisioned"), 50, 499);

        await Pulse.RestartAsync("worker");
        await crowd.AllAreTenantsAsync();
    }

    [Fact]
    public async Task A_client_that_repeats_itself_to_an_ingress_that_was_killed_signs_up_once()
    {
        var before = await Pulse.AskAsync<long>("select count(*) from pulse.signups");
        var crowd = new Crowd(Pulse);
        var posting = crowd.SignUpAsync(500);
        await crowd.AnsweredAsync(150);
        await Pulse.KillAsync("ingress");
        Assert.InRange(crowd.Answered, 150, 499);
        await Pulse.RestartAsync("ingress");
        await posting;

        await crowd.AllAreTenantsAsync();
        Assert.Equal(before + 500, await Pulse.AskAsync<long>("select count(*) from pulse.signups"));
    }
}
