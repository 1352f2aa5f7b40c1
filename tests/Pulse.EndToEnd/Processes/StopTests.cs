using System.Net;
using Pulse.Testing;

namespace Pulse.EndToEnd.Processes;

/// <summary>SIGTERM: unready, finish what is in flight, exit 0. The process is the test's own child: nobody else sees its exit code.</summary>
public sealed class StopTests(RunningPulse pulse) : RunningPulseTests(pulse)
{
    static readonly TimeSpan Within = TimeSpan.FromSeconds(30);

    [Fact]
    public async Task A_worker_that_is_told_to_stop_under_load_ends_well_and_leaves_nothing_undone()
    {
        await Pulse.StopAsync("worker");
        await using var worker = Worker();
        await worker.ReadyAsync();

        var crowd = new Crowd(Pulse);
        var posting = crowd.SignUpAsync(300);
        await crowd.AnsweredAsync(100);
        worker.Terminate();
        Assert.Equal(0, await worker.EndAsync(Within));
        await posting;

        await Pulse.RestartAsync("worker");
        await crowd.AllAreTenantsAsync();
    }

    [Fact]
    public async Task A_worker_that_is_told_to_stop_finishes_the_message_in_its_hands()
    {
        await Pulse.StopAsync("worker");
        var signup = await Pulse.AcceptedAsync(Some.Signup);
        await using var lockHolder = await Pulse.ConnectAsync();
        await using var transaction = await lockHolder.BeginTransactionAsync();
        await using (var hold = new Npgsql.NpgsqlCommand("select from pulse.signups where signup_id = $1 for update", lockHolder) { Parameters = { new() { Value = signup } } })
            await hold.ExecuteNonQueryAsync();

        await using var worker = Worker();
        await worker.ReadyAsync();
        await Eventually.Until(
            async () => await Pulse.AskAsync<long>("select count(*) from pg_stat_activity where wait_event_type = 'Lock' and query like '%pulse.signups%'") == 1,
            TimeSpan.FromSeconds(30), "the worker is in the middle of the message");
        worker.Terminate();
        await Eventually.Until(async () => await Health.ReadyAsync(worker.Url) != HttpStatusCode.OK, TimeSpan.FromSeconds(10), "it is unready while it drains");
        Assert.True(worker.Running);

        await transaction.CommitAsync();
        Assert.Equal(0, await worker.EndAsync(Within));
        // By this worker: no other has been started since.
        Assert.Equal("provisioned", (await Pulse.StatusAsync(signup)).Status);
    }

    [Fact]
    public async Task An_ingress_that_is_told_to_stop_under_load_ends_well_and_keeps_what_it_accepted()
    {
        await Pulse.StopAsync("ingress");
        await using var ingress = ChildProcess.Ingress(
            ("PULSE_INGRESS_URL", Pulse["PULSE_INGRESS_URL"]), ("PULSE_POSTGRES", Pulse["PULSE_POSTGRES_INGRESS"]),
            ("PULSE_HOSTED_MODE", "true"), ("PULSE_TRUSTED_PROXIES", "127.0.0.1"));
        await ingress.ReadyAsync();

        var crowd = new Crowd(Pulse);
        var posting = crowd.SignUpAsync(300);
        await crowd.AnsweredAsync(100);
        ingress.Terminate();
        await Eventually.Until(async () => await Health.ReadyAsync(ingress.Url) != HttpStatusCode.OK, TimeSpan.FromSeconds(10), "it is unready while it drains");
        Assert.Equal(0, await ingress.EndAsync(Within));

        await Pulse.RestartAsync("ingress");
        await posting;
        await crowd.AllAreTenantsAsync();
    }

    ChildProcess Worker() => ChildProcess.Worker(
        ("PULSE_WORKER_URL", Pulse["PULSE_WORKER_URL"]), ("PULSE_POSTGRES", Pulse["PULSE_POSTGRES"]), ("PULSE_RABBITMQ", Pulse["PULSE_RABBITMQ"]));
}
