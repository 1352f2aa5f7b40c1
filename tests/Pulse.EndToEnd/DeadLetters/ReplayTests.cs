using Pulse.Contracts.DeadLetters;
using Pulse.EndToEnd.Messaging;
using Pulse.Messaging;
using Pulse.Testing;

namespace Pulse.EndToEnd.DeadLetters;

/// <summary>What is replayed, where it goes, and what it leaves: through a real broker into the consumers' own rows.</summary>
public sealed class ReplayTests : IAsyncLifetime
{
    static readonly StartRequest AtOnce = new() { RatePerSecond = 0, Canary = 0, StopOnFailureRatio = 1 };

    readonly LetterBed _bed = new();

    public Task InitializeAsync() => _bed.InitializeAsync();

    public Task DisposeAsync() => _bed.DisposeAsync();

    [Fact]
    public async Task What_failed_is_planned_replayed_behind_a_canary_and_resolved_by_its_consumer()
    {
        await _bed.StartAsync();
        var chores = await _bed.BreakAsync(12);
        Assert.Equal("Pulse.EndToEnd.DeadLetters.ChoreBrokenException 12", await _bed.Postgres.AskAsync<string>(
            "select exception_type || ' ' || letters from pulse.dead_letter_groups_v1"));

        var plan = await _bed.PlanAllAsync();
        Assert.Equal((12, 12, 0), (plan.Letters, plan.Plan.Found, plan.Plan.Excluded.Count));
        Assert.Equal(("chores", 12), (Assert.Single(plan.Plan.Groups).Queue, plan.Plan.Groups[0].Letters));
        await _bed.StatusesAsync("parked 12");

        _bed.Mend();
        var started = (await _bed.StartReplayAsync(plan.ReplayId, new StartRequest { RatePerSecond = 100, Canary = 3, StopOnFailureRatio = 0 })).As<ReplayState>();
        Assert.Equal(ReplayStatus.Canary, started.Status);
        await _bed.ReplayIsAsync(plan.ReplayId, ReplayStatus.Completed);

        await _bed.StatusesAsync("resolved 12");
        await _bed.OnceAsync(chores);
        Assert.Equal("resolved 12", await _bed.ItemsAsync(plan.ReplayId));
        Assert.Equal("replay_planned by key:test, replay_started by key:test, replay_completed by replay", await _bed.AuditAsync());
        // The type's other subscribers heard of each chore once: a replay goes to the queue that failed, and nowhere else.
        await Eventually.Until(
            async () => await _bed.Postgres.AskAsync<long>("select count(*) from messaging.inbox where consumer_id = 'chores-stored'") == 12, TimeSpan.FromSeconds(30), "the events arrived");
    }

    [Fact]
    public async Task After_three_failed_replays_a_letter_is_quarantined_and_only_its_id_with_a_word_replays_it()
    {
        await _bed.StartAsync();
        var chores = await _bed.BreakAsync(1);
        for (var replay = 1; replay <= 3; replay++)
        {
            var plan = await _bed.PlanAllAsync();
            await _bed.StartReplayAsync(plan.ReplayId, AtOnce);
            await _bed.ReplayIsAsync(plan.ReplayId, ReplayStatus.Completed);
            await _bed.StatusesAsync(replay == 3 ? "quarantined 1" : "failed_again 1");
        }

        Assert.Equal("nothing_to_replay", (await _bed.PlanAsync(new PlanRequest { Filter = new DeadLetterFilter() })).Code);
        var id = await _bed.Postgres.AskAsync<Guid>("select dead_letter_id from pulse.dead_letters");
        Assert.Equal("nothing_to_replay", (await _bed.PlanAsync(new PlanRequest { Ids = [id] })).Code);
        var last = (await _bed.PlanAsync(new PlanRequest { Ids = [id], IncludeQuarantined = true })).As<ReplayState>();
        _bed.Mend();
        await _bed.StartReplayAsync(last.ReplayId, AtOnce);
        await _bed.StatusesAsync("resolved 1");
        Assert.Equal(4, await _bed.Postgres.AskAsync<int>("select occurrences from pulse.dead_letters"));
        await _bed.OnceAsync(chores);
    }

    [Fact]
    public async Task Two_operators_who_start_the_same_letters_at_once_send_each_once()
    {
        await _bed.StartAsync();
        await _bed.StartAsync();
        var chores = await _bed.BreakAsync(100);
        _bed.Mend();
        var plans = await Task.WhenAll(_bed.PlanAllAsync(), _bed.PlanAllAsync());
        Assert.All(plans, plan => Assert.Equal(100, plan.Letters));
        var outcomes = await Task.WhenAll(plans.Select(plan => _bed.StartReplayAsync(plan.ReplayId, AtOnce)));

        await _bed.StatusesAsync("resolved 100");
        await _bed.OnceAsync(chores);
        Assert.Equal(100L, await _bed.Postgres.AskAsync<long>("select sum(attempts)::bigint from pulse.dead_letters"));
        Assert.Equal(100, outcomes.Where(outcome => outcome.Code is null).Sum(outcome => outcome.As<ReplayState>().Letters));
        Assert.All(outcomes, outcome => Assert.True(outcome.Code is null or "nothing_to_replay"));
    }

    [Fact]
    public async Task A_message_that_its_consumer_was_done_with_is_absorbed_and_resolved_all_the_same()
    {
        await _bed.StartAsync();
        var chores = await _bed.BreakAsync(2);
        // As after a redelivery that succeeded behind the failure.
        await _bed.RunAsync("insert into messaging.inbox select message_id, queue, now() from pulse.dead_letters where dead_letter_id = (select min(dead_letter_id::text)::uuid from pulse.dead_letters)");
        _bed.Mend();
        var plan = await _bed.PlanAllAsync();
        var preview = (await _bed.PreviewAsync(plan.ReplayId)).As<PreviewResult>();
        Assert.True(preview.Summary == "1 would create, 1 would change nothing", string.Join(", ", preview.Outcomes));
        await _bed.StartReplayAsync(plan.ReplayId, AtOnce);

        await _bed.StatusesAsync("resolved 2");
        await _bed.ReplayIsAsync(plan.ReplayId, ReplayStatus.Completed);
        Assert.Equal(1L, await _bed.EffectsAsync());
        Assert.Equal(2, chores.Length);
    }

    [Fact]
    public async Task What_is_resolved_is_neither_planned_nor_sent_again()
    {
        await _bed.StartAsync();
        await _bed.BreakAsync(2);
        _bed.Mend();
        var plan = await _bed.PlanAllAsync();
        var stale = await _bed.PlanAllAsync();
        await _bed.StartReplayAsync(plan.ReplayId, new StartRequest { RatePerSecond = 0.01, Canary = 0, StopOnFailureRatio = 1 });
        await _bed.StatusesAsync("parked 1, resolved 1");
        await _bed.PauseAsync(plan.ReplayId);
        // The other one comes to its end by itself meanwhile, as after a redelivery that was late.
        await _bed.RunAsync("update pulse.dead_letters set status = 'resolved'");
        await _bed.RunAsync("update pulse.replays set rate_per_second = 0");
        await _bed.ResumeAsync(plan.ReplayId);
        await _bed.ReplayIsAsync(plan.ReplayId, ReplayStatus.Completed);

        Assert.Equal("resolved 2", await _bed.ItemsAsync(plan.ReplayId));
        Assert.Equal("nothing_to_replay", (await _bed.StartReplayAsync(stale.ReplayId, AtOnce)).Code);
        var ids = await _bed.Postgres.AskAsync<Guid[]>("select array_agg(dead_letter_id) from pulse.dead_letters");
        Assert.Equal("nothing_to_replay", (await _bed.PlanAsync(new PlanRequest { Ids = ids })).Code);
        Assert.Equal("nothing_to_replay", (await _bed.PlanAsync(new PlanRequest { Filter = new DeadLetterFilter { Status = [DeadLetterStatus.Resolved] } })).Code);
        Assert.Equal((1L, 1L), (await _bed.EffectsAsync(), await _bed.Postgres.AskAsync<long>("select sum(attempts)::bigint from pulse.dead_letters")));
    }

    [Theory]
    [InlineData("chores: before commit", false)]
    [InlineData("chores: after commit", true)]
    public async Task A_letter_is_resolved_exactly_when_its_effect_is_there(string point, bool there)
    {
        var stop = new StopAt(point);
        await _bed.StartAsync(stop.PassAsync);
        await _bed.BreakAsync(1);
        _bed.Mend();
        var plan = await _bed.PlanAllAsync();
        await _bed.StartReplayAsync(plan.ReplayId, AtOnce);
        await stop.ReachedAsync();

        Assert.Equal((there ? 1L : 0L, there), (await _bed.EffectsAsync(), await _bed.LettersAsync(DeadLetterStatus.Resolved) == 1));
        Assert.Equal(there, await _bed.ItemsAsync(plan.ReplayId) == "resolved 1");
        stop.LetGo();
        await _bed.StatusesAsync("resolved 1");
    }

    [Fact]
    public async Task A_letter_goes_to_the_queue_that_failed_and_nowhere_else_under_its_own_id_without_what_the_failure_added()
    {
        StopAt? armed = null;
        await _bed.StartAsync(point => armed?.PassAsync(point) ?? Task.CompletedTask);
        await _bed.BreakAsync(30);
        _bed.Mend();
        var plan = await _bed.PlanAllAsync();
        await _bed.StartReplayAsync(plan.ReplayId, new StartRequest { RatePerSecond = 1, Canary = 0, StopOnFailureRatio = 1 });
        // What it has in its hands from now on is the replay's: nobody else sends anything.
        var stop = armed = new StopAt("relay: before publish");
        await stop.ReachedAsync();

        Assert.Equal(
            $"exchange '', queue chores, its own id and body, attempt 1 of {plan.ReplayId}; left out: t, and were there: t",
            await _bed.Postgres.AskAsync<string>("""
                select format('exchange ''%s'', queue %s, %s, attempt %s of %s; left out: %s, and were there: %s', o.exchange, o.routing_key,
                    case when o.body = d.body then 'its own id and body' end, o.headers ->> 'Pulse-Replay-Attempt', o.headers ->> 'Pulse-Replay-Id',
                    not exists (select from jsonb_object_keys(o.headers) k where k like 'MT-Fault-%' or k like 'MT-Host-%' or k like 'x-%' or k = 'MT-Reason'),
                    d.headers ?& array['MT-Fault-Message', 'MT-Fault-StackTrace', 'MT-Reason'])
                from messaging.outbox o join pulse.dead_letters d on d.message_id = o.message_id limit 1
                """));
        stop.LetGo();
    }

    [Fact]
    public async Task A_consumer_that_is_committed_with_others_marks_its_letters_too()
    {
        await _bed.StartAsync(deferring: true);
        var chores = await _bed.BreakAsync(200);
        _bed.Mend();
        var plan = await _bed.PlanAllAsync();
        await _bed.StartReplayAsync(plan.ReplayId, AtOnce);
        await _bed.ReplayIsAsync(plan.ReplayId, ReplayStatus.Completed);
        await _bed.StatusesAsync("resolved 200");
        await _bed.OnceAsync(chores);
    }

    [Fact]
    public async Task A_replayed_message_that_is_put_off_by_its_consumer_is_still_known_as_the_replay_s()
    {
        await _bed.StartAsync();
        await _bed.BreakAsync(1);
        // Passing, so it is redelivered a little later: by another message, under the same id.
        _bed.Faults.Of = _ => new TimeoutException("try later");
        var plan = await _bed.PlanAllAsync();
        await _bed.StartReplayAsync(plan.ReplayId, AtOnce);
        await _bed.StatusesAsync("failed_again 1");
        Assert.Equal("failed_again 1", await _bed.ItemsAsync(plan.ReplayId));

        var first = true;
        _bed.Faults.Of = _ => first ? new TimeoutException("try later") : null;
        var again = await _bed.PlanAllAsync();
        await _bed.StartReplayAsync(again.ReplayId, AtOnce);
        await Eventually.Until(async () => await _bed.Postgres.AskAsync<string>("select status from pulse.dead_letters") is "replayed" or "failed_again", TimeSpan.FromSeconds(30), "it was sent");
        first = false;
        await _bed.StatusesAsync(await _bed.LettersAsync("failed_again") == 1 ? "failed_again 1" : "resolved 1");
    }
}
