using Microsoft.Extensions.Logging.Abstractions;
using Pulse.Messaging.Outbox;
using Pulse.Worker.Hooks;

namespace Pulse.Tests.Hooks;

/// <summary>A call from its first try to its end, with a platform that fails in every way.</summary>
public sealed class HookCallTests : IClassFixture<TestPostgres>, IAsyncLifetime
{
    readonly TestPostgres _postgres;
    HookBed _bed = null!;

    public HookCallTests(TestPostgres postgres) => _postgres = postgres;

    public async Task InitializeAsync() => _bed = await HookBed.StartAsync(_postgres);

    public async Task DisposeAsync()
    {
        Assert.Empty(_bed.Receiver.Invalid);
        await _bed.DisposeAsync();
    }

    Task<string> StatusAsync(Guid callId) => _postgres.AskAsync<string>("select status from pulse.hook_calls where call_id = $1", callId);

    Task<long> TakenBackAsync(Guid orgId) => _postgres.AskAsync<long>("select count(*) from pulse.hook_calls where org_id = $1 and type = 'deprovision'", orgId);

    [Fact]
    public async Task What_is_done_at_once_ends_at_once()
    {
        var call = await _bed.ProvisionAsync();

        await _bed.DrainAsync(_bed.Worker());

        Assert.Equal((call.CallId, true), (_bed.Ends.Single().Call.CallId, _bed.Ends.Single().Succeeded));
        Assert.Equal("succeeded", await StatusAsync(call.CallId));
        Assert.Equal([call.OrgId], _bed.Receiver.Tenants);
        var received = Assert.Single(_bed.Receiver.Received);
        Assert.Equal((call.CallId.ToString(), true), (received.Id, received.IsProvision));
    }

    [Fact]
    public async Task Every_try_is_the_same_call_to_the_last_byte_also_under_a_new_secret()
    {
        _bed.Receiver.Reply = received => received.Number < 4 ? new HookReply(503) : new HookReply(200);
        var call = await _bed.ProvisionAsync();

        await _bed.DrainAsync(_bed.Worker());

        Assert.Equal(4, _bed.Receiver.Received.Count);
        Assert.Single(_bed.Receiver.Received.Select(received => (received.Id, received.Body)).Distinct());
        Assert.Equal(["unavailable", "unavailable", "unavailable", "done"], _bed.Outcomes);
        Assert.Equal("succeeded", await StatusAsync(call.CallId));
    }

    [Fact]
    public async Task A_time_out_that_did_the_work_is_done_once()
    {
        _bed.Receiver.Reply = received => received.Number == 1 ? new HookReply(200) { After = TimeSpan.FromSeconds(20) } : new HookReply(200);
        var call = await _bed.ProvisionAsync();

        await _bed.DrainAsync(_bed.Worker());

        Assert.Equal(["timed_out", "done"], _bed.Outcomes);
        Assert.Equal(1, _bed.Receiver.Made(call.OrgId));
        Assert.Equal(0, await TakenBackAsync(call.OrgId));
    }

    [Fact]
    public async Task What_is_given_up_is_taken_back_until_that_succeeds()
    {
        _bed.Receiver.Reply = received => received.IsProvision ? new HookReply(500) { Works = true } : new HookReply(received.Number < 8 ? 404 : 204);
        var call = await _bed.ProvisionAsync();

        await _bed.DrainAsync(_bed.Worker());

        Assert.Equal(4, _bed.Receiver.Received.Count(received => received.IsProvision));
        Assert.Equal(8, _bed.Receiver.Received.Count(received => !received.IsProvision));
        Assert.Equal([("provision", false), ("deprovision", true)], _bed.Ends.Select(end => (end.Call.Type, end.Succeeded)));
        Assert.Empty(_bed.Receiver.Tenants);
        Assert.Equal("failed", await StatusAsync(call.CallId));
        Assert.Contains("given_up", _bed.Outcomes);
    }

    [Fact]
    public async Task A_refusal_fails_at_once_and_there_is_nothing_to_take_back()
    {
        _bed.Receiver.Reply = _ => new HookReply(422);
        var call = await _bed.ProvisionAsync();

        await _bed.DrainAsync(_bed.Worker());

        Assert.Single(_bed.Receiver.Received);
        Assert.Equal(("failed", 0), (await StatusAsync(call.CallId), await TakenBackAsync(call.OrgId)));
    }

    [Fact]
    public async Task A_refusal_after_a_time_out_is_taken_back()
    {
        _bed.Receiver.Reply = received => !received.IsProvision ? new HookReply(200)
            : received.Number == 1 ? new HookReply(200) { After = TimeSpan.FromSeconds(20) } : new HookReply(409);
        await _bed.ProvisionAsync();

        await _bed.DrainAsync(_bed.Worker());

        Assert.Equal([("provision", false), ("deprovision", true)], _bed.Ends.Select(end => (end.Call.Type, end.Succeeded)));
        Assert.Empty(_bed.Receiver.Tenants);
    }

    [Fact]
    public async Task A_platform_that_nobody_reaches_has_nothing_to_take_back()
    {
        var call = await _bed.ProvisionAsync();

        await _bed.DrainAsync(_bed.Worker(_bed.Options(url: new Uri("http://nobody.invalid"))));

        Assert.Equal(("failed", 0), (await StatusAsync(call.CallId), await TakenBackAsync(call.OrgId)));
        Assert.Equal("given_up", _bed.Outcomes[^1]);
    }

    [Fact]
    public async Task Retry_after_is_waited_for()
    {
        _bed.Receiver.Reply = received => received.Number == 1 ? new HookReply(429) { Headers = new Dictionary<string, string> { ["Retry-After"] = "300" } } : new HookReply(200);
        await _bed.ProvisionAsync();
        var since = _bed.Clock.GetUtcNow();

        await _bed.DrainAsync(_bed.Worker());

        Assert.Equal(["busy", "done"], _bed.Outcomes);
        Assert.InRange((_bed.Clock.GetUtcNow() - since).TotalSeconds, 300, 302);
    }

    [Fact]
    public async Task Of_two_workers_one_calls()
    {
        var call = await _bed.ProvisionAsync();
        _bed.Receiver.Reply = _ => new HookReply(200) { After = TimeSpan.FromMilliseconds(300) };

        var ends = await Task.WhenAll(_bed.ContinueAsync(_bed.Worker(), call.CallId), _bed.ContinueAsync(_bed.Worker(), call.CallId));

        Assert.Single(_bed.Receiver.Received);
        Assert.Equal([HookStep.Look, HookStep.Succeed], ends.Select(end => end.Step).Order());
    }

    [Theory]
    [InlineData("hook-calls: after lease")]
    [InlineData("hook-calls: before call")]
    [InlineData("hook-calls: after call")]
    public async Task Wherever_a_worker_dies_the_next_one_calls_under_the_same_key(string point)
    {
        var call = await _bed.ProvisionAsync();
        // It is never heard of again: neither does it go on, nor does it let go.
        var gone = new TaskCompletionSource();
        var dead = new TaskCompletionSource();
        _bed.AtPoint = reached =>
        {
            if (reached != point)
                return Task.CompletedTask;
            gone.TrySetResult();
            return dead.Task;
        };
        var first = _bed.ContinueAsync(_bed.Worker(), call.CallId);
        await gone.Task.WaitAsync(TimeSpan.FromSeconds(10));
        _bed.AtPoint = null;

        // The broker delivers its message again.
        await _bed.DrainAsync(_bed.Worker());
        Assert.Equal("succeeded", await StatusAsync(call.CallId));

        // One that was only frozen finds that it is overtaken.
        dead.SetResult();
        Assert.Equal(HookStep.Leave, (await first).Step);
        Assert.Single(_bed.Ends);
        Assert.Equal(1, _bed.Receiver.Made(call.OrgId));
        Assert.Single(_bed.Receiver.Received.Select(received => (received.Id, received.Body)).Distinct());
    }

    [Fact]
    public async Task Without_a_hook_what_waits_ends_as_skipped()
    {
        var (provision, purge) = (await _bed.ProvisionAsync(), await _bed.PurgeAsync());

        await _bed.DrainAsync(_bed.Worker(new HookOptions
        {
            Url = null,
            Secrets = [],
            AllowPrivate = false,
            PublicUrl = null,
            Timeout = TimeSpan.FromSeconds(1),
            Attempts = 1,
            Deadline = TimeSpan.FromSeconds(10),
        }));

        Assert.Equal(("succeeded", "succeeded"), (await StatusAsync(provision.CallId), await StatusAsync(purge.CallId)));
        Assert.Equal(["skipped", "skipped"], _bed.Outcomes);
        Assert.Empty(_bed.Receiver.Received);
    }

    [Fact]
    public async Task What_lost_its_timer_is_found_and_what_ended_long_ago_is_forgotten()
    {
        var call = await _bed.ProvisionAsync();
        _bed.Forget();
        var sweep = new HookSweep(
            _postgres.Worker, new OutboxPublisher(_bed.Clock, new OutboxBell(_postgres.Worker, NullLogger<OutboxBell>.Instance)), _bed.Options(), _bed.Clock,
            NullLogger<HookSweep>.Instance);
        Assert.Equal(0L, await FoundAsync());

        _bed.Clock.Advance(HookSweep.OverdueAfter + TimeSpan.FromSeconds(1));
        await sweep.SweepAsync(CancellationToken.None);
        Assert.Equal(1L, await FoundAsync());

        // Its message has its time as well.
        await sweep.SweepAsync(CancellationToken.None);
        Assert.Equal(1L, await FoundAsync());
        _bed.Clock.Advance(HookSweep.OverdueAfter + TimeSpan.FromSeconds(1));
        await sweep.SweepAsync(CancellationToken.None);
        Assert.Equal(2L, await FoundAsync());

        await _bed.ContinueAsync(_bed.Worker(), call.CallId);
        await HookCallTable.PruneAsync(_postgres.Worker, _bed.Clock.GetUtcNow().AddSeconds(-1), 10_000, CancellationToken.None);
        Assert.Equal("succeeded", await StatusAsync(call.CallId));
        await HookCallTable.PruneAsync(_postgres.Worker, _bed.Clock.GetUtcNow().AddSeconds(1), 10_000, CancellationToken.None);
        Assert.Equal(0L, await _postgres.AskAsync<long>("select count(*) from pulse.hook_calls where call_id = $1", call.CallId));

        Task<long> FoundAsync() => _postgres.AskAsync<long>(
            "select count(*) from messaging.outbox where exchange like '%ContinueHookCall' and convert_from(body, 'UTF8') like '%' || $1 || '%'", call.CallId.ToString());
    }
}
