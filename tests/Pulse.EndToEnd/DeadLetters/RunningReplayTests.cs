using System.Collections.Concurrent;
using System.Diagnostics.Metrics;
using Pulse.Contracts.DeadLetters;
using Pulse.EndToEnd.Messaging;
using Pulse.Messaging;
using Pulse.Testing;
using Pulse.Worker.DeadLetters;

namespace Pulse.EndToEnd.DeadLetters;

/// <summary>What a replay does until it ends: its rate, its stops, and what an operator tells it meanwhile.</summary>
public sealed class RunningReplayTests : IAsyncLifetime
{
    static readonly StartRequest AtOnce = new() { RatePerSecond = 0, Canary = 0, StopOnFailureRatio = 1 };

    readonly LetterBed _bed = new();

    public Task InitializeAsync() => _bed.InitializeAsync();

    public Task DisposeAsync() => _bed.DisposeAsync();

    [Fact]
    public async Task A_canary_that_fails_stops_the_replay_and_the_others_stay_where_they_are()
    {
        await _bed.StartAsync();
        await _bed.BreakAsync(10);
        var plan = await _bed.PlanAllAsync();
        await _bed.StartReplayAsync(plan.ReplayId, new StartRequest { RatePerSecond = 0, Canary = 2, StopOnFailureRatio = 0.5 });

        await _bed.ReplayIsAsync(plan.ReplayId, ReplayStatus.Stopped);
        Assert.Equal("canary_failed", await _bed.Postgres.AskAsync<string>("select stop_reason from pulse.replays"));
        await _bed.StatusesAsync("failed_again 2, parked 8");
        Assert.Equal("cancelled 8, failed_again 2", await _bed.ItemsAsync(plan.ReplayId));
        Assert.Equal(22L, await _bed.Postgres.AskAsync<long>("select 10 + sum(occurrences)::bigint from pulse.dead_letters"));
        Assert.Equal(0L, await _bed.EffectsAsync());

        Assert.Equal("replay_planned by key:test, replay_started by key:test, replay_stopped by replay", await _bed.AuditAsync());

        // They are free again.
        Assert.Equal(10, (await _bed.PlanAllAsync()).Letters);
    }

    [Fact]
    public async Task Too_many_failures_stop_a_running_replay()
    {
        await _bed.StartAsync();
        await _bed.BreakAsync(60);
        var plan = await _bed.PlanAllAsync();
        await _bed.StartReplayAsync(plan.ReplayId, new StartRequest { RatePerSecond = 20, Canary = 0, StopOnFailureRatio = 0.2 });

        await _bed.ReplayIsAsync(plan.ReplayId, ReplayStatus.Stopped);
        Assert.Equal("failure_ratio", await _bed.Postgres.AskAsync<string>("select stop_reason from pulse.replays"));
        await Eventually.Until(
            async () => await _bed.Postgres.AskAsync<long>("select count(*) from pulse.replay_items where state in ('queued', 'sent')") == 0, TimeSpan.FromSeconds(30), "what was under way is over");
        var failed = await _bed.LettersAsync("failed_again");
        Assert.InRange(failed, 3, 55);
        Assert.Equal(60 - failed, await _bed.LettersAsync("parked"));
    }

    [Fact]
    public async Task A_paused_replay_takes_back_what_is_not_due_and_goes_on_where_it_was()
    {
        await _bed.StartAsync();
        var chores = await _bed.BreakAsync(30);
        _bed.Mend();
        var plan = await _bed.PlanAllAsync();
        await _bed.StartReplayAsync(plan.ReplayId, new StartRequest { RatePerSecond = 2, Canary = 0, StopOnFailureRatio = 1 });
        await Eventually.Until(async () => await _bed.EffectsAsync() >= 1, TimeSpan.FromSeconds(30), "the first is through");

        Assert.Equal(ReplayStatus.Paused, (await _bed.PauseAsync(plan.ReplayId)).As<ReplayState>().Status);
        await Eventually.Until(
            async () => await _bed.Postgres.AskAsync<long>("select count(*) from pulse.replay_items where state in ('queued', 'sent')") == 0, TimeSpan.FromSeconds(30), "nothing is under way");
        var through = await _bed.EffectsAsync();
        await _bed.StatusesAsync($"parked {30 - through}, resolved {through}");
        Assert.Equal(0L, await _bed.Postgres.AskAsync<long>("select count(*) from messaging.outbox where headers ? 'Pulse-Replay-Id'"));
        Assert.Equal("replay_not_running", (await _bed.PauseAsync(plan.ReplayId)).Code);
        // Its letters stay its own.
        Assert.Equal("nothing_to_replay", (await _bed.PlanAsync(new PlanRequest { Filter = new DeadLetterFilter() })).Code);

        await _bed.RunAsync("update pulse.replays set rate_per_second = 0");
        await _bed.ResumeAsync(plan.ReplayId);
        await _bed.ReplayIsAsync(plan.ReplayId, ReplayStatus.Completed);
        await _bed.OnceAsync(chores);
        Assert.Equal(
            "replay_planned by key:test, replay_started by key:test, replay_paused by key:test, replay_resumed by key:test, replay_completed by replay", await _bed.AuditAsync());
    }

    [Fact]
    public async Task A_replay_keeps_its_rate_over_a_pause_and_behind_its_canary()
    {
        // Its clock stands still until it is moved: what is sent at once is due at the same moment, however long this takes.
        await _bed.StartAsync(clock: _bed.Clock);
        var chores = await _bed.BreakAsync(4);
        _bed.Mend();
        var plan = await _bed.PlanAllAsync();
        await _bed.StartReplayAsync(plan.ReplayId, new StartRequest { RatePerSecond = 0.5, Canary = 1, StopOnFailureRatio = 1 });
        await DueAsync("0, 2");
        await _bed.StatusesAsync("parked 2, queued 1, resolved 1");

        // At once, and the second is not a turn further behind for having been taken back.
        await _bed.PauseAsync(plan.ReplayId);
        await DueAsync("0");
        await _bed.ResumeAsync(plan.ReplayId);
        await DueAsync("0, 2");

        _bed.Clock.Advance(TimeSpan.FromSeconds(2));
        await DueAsync("0, 2, 4");
        await _bed.StatusesAsync("parked 1, queued 1, resolved 2");

        // A pause that is longer than the interval is not made up for.
        await _bed.PauseAsync(plan.ReplayId);
        _bed.Clock.Advance(TimeSpan.FromSeconds(10));
        await _bed.ResumeAsync(plan.ReplayId);
        await DueAsync("0, 2, 12, 14");
        await _bed.StatusesAsync("queued 1, resolved 3");
        _bed.Clock.Advance(TimeSpan.FromSeconds(2));
        await _bed.ReplayIsAsync(plan.ReplayId, ReplayStatus.Completed);
        await _bed.OnceAsync(chores);

        // In seconds after the first.
        async Task DueAsync(string expected)
        {
            var due = "";
            try
            {
                await Eventually.Until(async () => (due = await _bed.Postgres.AskAsync<string>("""
                    select coalesce(string_agg((extract(epoch from due_at - first)::float8)::text, ', ' order by position), '')
                    from (select *, min(due_at) over () as first from pulse.replay_items where due_at is not null) as due
                    """)) == expected, TimeSpan.FromSeconds(20), "they are due");
            }
            catch (TimeoutException)
            {
                // The comparison says more.
            }

            Assert.Equal(expected, due);
        }
    }

    [Fact]
    public async Task A_cancelled_replay_leaves_what_it_has_not_sent()
    {
        await _bed.StartAsync();
        await _bed.BreakAsync(20);
        _bed.Mend();
        var plan = await _bed.PlanAllAsync();
        await _bed.StartReplayAsync(plan.ReplayId, new StartRequest { RatePerSecond = 2, Canary = 0, StopOnFailureRatio = 1 });
        await Eventually.Until(async () => await _bed.EffectsAsync() >= 1, TimeSpan.FromSeconds(30), "the first is through");
        // Not a second's letters at once: each waits for its own time.
        Assert.True(await _bed.Postgres.AskAsync<bool>("""
            select coalesce(bool_and(o.relay_at = i.due_at), true) and (select min(gap) >= interval '0.5 s' from (
                select due_at - lag(due_at) over (order by position) as gap from pulse.replay_items where due_at is not null) as gaps)
            from messaging.outbox o join pulse.replay_items i on i.outbox_id = o.id
            """));
        Assert.Equal(ReplayStatus.Cancelled, (await _bed.CancelAsync(plan.ReplayId)).As<ReplayState>().Status);
        await _bed.ReplayIsAsync(plan.ReplayId, ReplayStatus.Cancelled);

        await Eventually.Until(
            async () => await _bed.Postgres.AskAsync<long>("select count(*) from pulse.replay_items where active") == 0, TimeSpan.FromSeconds(30), "nothing is under way");
        var through = await _bed.EffectsAsync();
        await _bed.StatusesAsync($"parked {20 - through}, resolved {through}");
        Assert.Equal($"cancelled {20 - through}, resolved {through}", await _bed.ItemsAsync(plan.ReplayId));
        await _bed.ReplayIsAsync(plan.ReplayId, ReplayStatus.Cancelled);
        Assert.Equal("replay_ended", (await _bed.CancelAsync(plan.ReplayId)).Code);
        Assert.Equal("replay_not_paused", (await _bed.ResumeAsync(plan.ReplayId)).Code);
        Assert.Equal("replay_not_planned", (await _bed.StartReplayAsync(plan.ReplayId, AtOnce)).Code);
    }

    [Fact]
    public async Task A_replay_that_is_cancelled_in_its_pause_frees_its_letters()
    {
        await _bed.StartAsync();
        await _bed.BreakAsync(5);
        _bed.Mend();
        var plan = await _bed.PlanAllAsync();
        await _bed.StartReplayAsync(plan.ReplayId, new StartRequest { RatePerSecond = 0.01, Canary = 0, StopOnFailureRatio = 1 });
        await _bed.StatusesAsync("parked 4, resolved 1");
        await _bed.PauseAsync(plan.ReplayId);
        await _bed.CancelAsync(plan.ReplayId);

        // Nothing was on its way any more, so nobody but the command itself would do it.
        Assert.Equal("cancelled 4, resolved 1", await _bed.ItemsAsync(plan.ReplayId));
        Assert.Equal(4, (await _bed.PlanAllAsync()).Letters);
    }

    [Fact]
    public async Task A_plan_that_nobody_starts_expires()
    {
        var node = await _bed.StartAsync(clock: _bed.Clock);
        var factory = node.Get<IMeterFactory>();
        var ended = new ConcurrentQueue<string>();
        using var listener = new MeterListener
        {
            InstrumentPublished = (instrument, listener) =>
            {
                if (instrument.Name == ReplayMeter.Replays && ReferenceEquals(instrument.Meter.Scope, factory))
                    listener.EnableMeasurementEvents(instrument);
            },
        };
        listener.SetMeasurementEventCallback<long>((_, by, tags, _) => ended.Enqueue($"{tags[0].Key} {tags[0].Value} {by}"));
        listener.Start();

        await _bed.BreakAsync(1);
        var plan = await _bed.PlanAllAsync();
        _bed.Clock.Advance(TimeSpan.FromMinutes(61));
        await _bed.ReplayIsAsync(plan.ReplayId, ReplayStatus.Expired);
        Assert.Equal("replay_expired", (await _bed.StartReplayAsync(plan.ReplayId, AtOnce)).Code);
        await _bed.StatusesAsync("parked 1");
        await Eventually.Until(() => !ended.IsEmpty, TimeSpan.FromSeconds(20), "its end is counted");
        Assert.Equal("outcome expired 1", Assert.Single(ended));
    }
}
