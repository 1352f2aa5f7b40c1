using System.Text.Json;
using Pulse.Contracts.Lifecycle;
using Pulse.Worker.Lifecycle;

namespace Pulse.Tests.Lifecycle;

/// <summary>What the reaper looks at before a purge begins.</summary>
public sealed class ReaperTests : IAsyncLifetime
{
    readonly LifecycleBed _bed = new();

    public Task InitializeAsync() => _bed.InitializeAsync();

    public Task DisposeAsync() => _bed.DisposeAsync();

    [Theory]
    [InlineData(1, 20, 1)]
    [InlineData(39, 20, 1)]
    [InlineData(40, 20, 2)]
    [InlineData(399, 20, 19)]
    [InlineData(400, 20, 20)]
    [InlineData(1_000_000, 20, 20)]
    [InlineData(0, 20, 1)]
    public void The_limit_is_the_number_or_five_percent_of_all_where_that_is_less_and_one_at_least(long organizations, int most, int limit) =>
        Assert.Equal(limit, ReaperRules.Limit(organizations, most, 0.05));

    [Theory]
    [InlineData(1, 0, 1, "Granted")]
    [InlineData(20, 0, 20, "Granted")]
    [InlineData(1, 19, 20, "Granted")]
    [InlineData(1, 20, 20, "Later")]
    [InlineData(20, 1, 20, "Later")]
    [InlineData(21, 0, 20, "Stopped")]
    public void What_is_due_and_what_began_just_now_count_together(long due, long begun, int limit, string leave) =>
        Assert.Equal(leave, ReaperRules.Judge(due, begun, limit).ToString());

    [Fact]
    public async Task Scenario_8_the_reaper_looks_again_under_the_lock_and_a_retention_of_none_is_no_order_to_purge_now()
    {
        await using var worker = _bed.Worker();
        var (restored, held, none, missing, due) =
            (await _bed.TenantAsync(), await _bed.TenantAsync(), await _bed.TenantAsync(), await _bed.TenantAsync(), await _bed.TenantAsync());
        foreach (var org in (Guid[])[restored, held, none, missing, due])
            await _bed.AskAsync("soft-delete", org, """{"retention_days":1}""");
        await worker.DrainAsync();
        await _bed.Postgres.RunAsync("alter table pulse.organizations drop constraint organizations_retention_days_check");
        await _bed.Postgres.RunAsync("update pulse.organizations set retention_days = 0, purge_after = deletion_requested_at where org_id = $1", none);
        await _bed.Postgres.RunAsync("update pulse.organizations set retention_days = null where org_id = $1", missing);
        await _bed.AskAsync("restore", restored);
        await _bed.AskAsync("hold", held, """{"reason":"a court asks"}""");
        // The timers are on their way already when the operator's word comes.
        _bed.Clock.Advance(TimeSpan.FromDays(2));
        var timers = (await worker.WaitingAsync()).Where(message => message.Exchange.EndsWith("RetentionEnded", StringComparison.Ordinal)).ToList();
        Assert.Equal(5, timers.Count);
        foreach (var message in await worker.WaitingAsync())
        {
            if (timers.TrueForAll(timer => timer.Id != message.Id))
                await worker.DeliverAsync(message);
        }

        foreach (var timer in timers)
            await worker.DeliverAsync(timer);
        await worker.SweepAsync();
        await worker.DrainAsync();

        Assert.Equal(
            "active, pending_deletion, pending_deletion, pending_deletion, purged",
            string.Join(", ", await _bed.StatusAsync(restored), await _bed.StatusAsync(held), await _bed.StatusAsync(none), await _bed.StatusAsync(missing), await _bed.StatusAsync(due)));

        // What is released after its time goes at once.
        await _bed.AskAsync("release", held);
        await worker.DrainAsync();
        Assert.Equal("purged", await _bed.StatusAsync(held));
    }

    [Fact]
    public async Task A_timer_of_an_earlier_deletion_means_nothing()
    {
        await using var worker = _bed.Worker();
        var org = await _bed.TenantAsync();
        await _bed.AskAsync("soft-delete", org, """{"retention_days":1}""");
        await worker.DrainAsync();
        _bed.Clock.Advance(TimeSpan.FromDays(1));
        var stale = Assert.Single(await worker.WaitingAsync());
        foreach (var (verb, request) in ((string, string)[])[("restore", "{}"), ("soft-delete", """{"retention_days":5}""")])
        {
            await _bed.AskAsync(verb, org, request);
            foreach (var message in (await worker.WaitingAsync()).Where(message => message.Id != stale.Id))
                await worker.DeliverAsync(message);
        }

        await worker.DeliverAsync(stale);
        await worker.DrainAsync();
        Assert.Equal("pending_deletion", await _bed.StatusAsync(org));
        // Not even when the later one is due as well: its own timer is what begins it.
        _bed.Clock.Advance(TimeSpan.FromDays(5));
        await _bed.PublishAsync(new RetentionEnded { OrgId = org, DeletionId = JsonDocument.Parse(stale.Body).RootElement.GetProperty("message").GetProperty("deletionId").GetGuid() });
        await worker.DeliverAsync((await worker.WaitingAsync())[^1]);
        Assert.Equal("pending_deletion", await _bed.StatusAsync(org));
        await worker.DrainAsync();
        Assert.Equal("purged", await _bed.StatusAsync(org));
    }

    [Fact]
    public async Task The_sweep_finds_what_no_timer_tells_of()
    {
        await using var worker = _bed.Worker();
        var org = await _bed.TenantAsync();
        await _bed.AskAsync("soft-delete", org, """{"retention_days":1}""");
        await worker.DrainAsync();
        await _bed.Postgres.RunAsync("delete from messaging.outbox");
        _bed.Clock.Advance(TimeSpan.FromDays(1));
        await worker.DrainAsync();
        Assert.Equal("pending_deletion", await _bed.StatusAsync(org));

        await worker.SweepAsync();
        await worker.DrainAsync();
        Assert.Equal("purged", await _bed.StatusAsync(org));
    }

    [Fact]
    public async Task A_wrong_clock_purges_nothing_and_one_that_was_moved_on_purpose_does()
    {
        await using var worker = _bed.Worker();
        var org = await _bed.TenantAsync();
        await _bed.AskAsync("soft-delete", org, """{"retention_days":30}""");
        await worker.DrainAsync();

        _bed.Clock.Wrong = TimeSpan.FromDays(31);
        Assert.Equal(Leave.Stopped, await worker.SweepAsync());
        await worker.DrainAsync();
        await worker.Sweeper.LookAsync(CancellationToken.None);
        Assert.Equal("pending_deletion", await _bed.StatusAsync(org));
        Assert.Equal(1, worker.Readings.Stopped().Single(stopped => stopped.Tags.ToArray().Single().Value is "clock").Value);

        _bed.Clock.Wrong = TimeSpan.Zero;
        _bed.Clock.Advance(TimeSpan.FromDays(31));
        await worker.SweepAsync();
        await worker.DrainAsync();
        Assert.Equal("purged", await _bed.StatusAsync(org));
    }

    [Fact]
    public async Task A_clock_that_was_behind_when_it_was_deleted_shortens_no_retention()
    {
        await using var worker = _bed.Worker();
        var org = await _bed.TenantAsync();
        _bed.Clock.Wrong = TimeSpan.FromDays(-40);
        await _bed.AskAsync("soft-delete", org, """{"retention_days":30}""");
        await worker.DrainAsync();
        _bed.Clock.Wrong = TimeSpan.Zero;

        await worker.SweepAsync();
        await worker.DrainAsync();
        Assert.Equal("pending_deletion", await _bed.StatusAsync(org));
        _bed.Clock.Advance(TimeSpan.FromDays(29.9));
        await worker.DrainAsync();
        Assert.Equal("pending_deletion", await _bed.StatusAsync(org));
        _bed.Clock.Advance(TimeSpan.FromDays(0.2));
        await worker.DrainAsync();
        Assert.Equal("purged", await _bed.StatusAsync(org));
    }

    [Fact]
    public async Task More_than_the_limit_are_stopped_whether_timers_or_the_sweep_want_them_until_the_very_list_is_confirmed()
    {
        await using var worker = _bed.Worker(_bed.Options with { Most = 3 });
        var orgs = new List<Guid>();
        for (var i = 0; i < 5; i++)
            orgs.Add(await _bed.TenantAsync());
        foreach (var org in orgs.Take(4))
            await _bed.AskAsync("soft-delete", org, """{"retention_days":1}""");
        await worker.DrainAsync();
        _bed.Clock.Advance(TimeSpan.FromDays(1));

        // The timers.
        await worker.DrainAsync();
        Assert.Equal(Leave.Stopped, await worker.SweepAsync());
        await worker.DrainAsync();
        await worker.Sweeper.LookAsync(CancellationToken.None);
        Assert.Equal(1, worker.Readings.Stopped().Single(stopped => stopped.Tags.ToArray().Single().Value is "blast_radius").Value);
        Assert.Equal(4L, await _bed.Postgres.AskAsync<long>("select count(*) from pulse.organizations where status = 'pending_deletion' and purge_started_at is null"));

        var hash = await _bed.Postgres.AskAsync<string>("select pulse.reaper_hash($1)", _bed.Clock.GetUtcNow().UtcDateTime);
        await _bed.AskAsync("soft-delete", orgs[4], """{"retention_days":1}""");
        await worker.DrainAsync();
        _bed.Clock.Advance(TimeSpan.FromDays(1));
        var stale = await _bed.AskAsync("confirm", orgs[0], $$"""{"hash":"{{hash}}"}""");
        await worker.DrainAsync();
        Assert.Equal("list_changed", await _bed.EndAsync(stale));
        Assert.Equal(5L, await _bed.Postgres.AskAsync<long>("select count(*) from pulse.organizations where status = 'pending_deletion' and purge_started_at is null"));

        hash = await _bed.Postgres.AskAsync<string>("select pulse.reaper_hash($1)", _bed.Clock.GetUtcNow().UtcDateTime);
        await _bed.AskAsync("confirm", Guid.CreateVersion7(), $$"""{"hash":"{{hash}}"}""");
        await worker.DrainAsync();
        foreach (var org in orgs)
            Assert.Equal("purged", await _bed.StatusAsync(org));
        Assert.Equal(1L, await _bed.Postgres.AskAsync<long>("select count(*) from pulse.audit_log where action = 'purges_confirmed' and actor = 'key:test'"));
    }

    [Fact]
    public async Task A_confirmation_is_of_one_deletion_and_means_nothing_for_the_next_and_nothing_against_a_hold()
    {
        await using var worker = _bed.Worker(_bed.Options with { Most = 1 });
        var (org, other, third) = (await _bed.TenantAsync(), await _bed.TenantAsync(), await _bed.TenantAsync());
        foreach (var one in (Guid[])[org, other])
            await _bed.AskAsync("soft-delete", one, """{"retention_days":1}""");
        await worker.DrainAsync();
        _bed.Clock.Advance(TimeSpan.FromDays(1));
        var hash = await _bed.Postgres.AskAsync<string>("select pulse.reaper_hash($1)", _bed.Clock.GetUtcNow().UtcDateTime);
        await _bed.AskAsync("confirm", Guid.CreateVersion7(), $$"""{"hash":"{{hash}}"}""");
        foreach (var message in (await worker.WaitingAsync()).Where(message => message.Exchange.EndsWith("ConfirmPurges", StringComparison.Ordinal)))
            await worker.DeliverAsync(message);
        await _bed.AskAsync("hold", org, """{"reason":"a court asks"}""");
        await worker.DeliverAsync((await worker.WaitingAsync()).Single(message => message.Exchange.EndsWith("PlaceLegalHold", StringComparison.Ordinal)));
        await worker.DrainAsync();
        Assert.Equal(("purged", "pending_deletion"), (await _bed.StatusAsync(other), await _bed.StatusAsync(org)));

        await _bed.AskAsync("restore", org);
        await worker.DrainAsync();
        await _bed.AskAsync("release", org);
        await worker.DrainAsync();
        foreach (var one in (Guid[])[org, third])
            await _bed.AskAsync("soft-delete", one, """{"retention_days":1}""");
        await worker.DrainAsync();
        _bed.Clock.Advance(TimeSpan.FromDays(1));
        await worker.SweepAsync();
        await worker.DrainAsync();
        Assert.Equal(("pending_deletion", "pending_deletion"), (await _bed.StatusAsync(org), await _bed.StatusAsync(third)));
    }

    [Fact]
    public async Task One_after_the_other_they_are_no_way_around_the_limit()
    {
        await using var worker = _bed.Worker(_bed.Options with { Most = 2 });
        var begun = new List<long>();
        for (var i = 0; i < 6; i++)
        {
            await _bed.AskAsync("soft-delete", await _bed.TenantAsync(), """{"retention_days":1}""");
            await worker.DrainAsync();
            _bed.Clock.Advance(TimeSpan.FromSeconds(10));
        }

        // Each is due ten seconds after the one before: none of them sees more than one that is due.
        _bed.Clock.Advance(TimeSpan.FromDays(1) - TimeSpan.FromSeconds(60));
        for (var i = 0; i < 6; i++)
        {
            await worker.DrainAsync();
            begun.Add(await _bed.Postgres.AskAsync<long>("select count(*) from pulse.tombstones"));
            _bed.Clock.Advance(TimeSpan.FromSeconds(10));
        }

        await worker.DrainAsync();
        Assert.Equal(2, begun.Max());
        _bed.Clock.Advance(TimeSpan.FromMinutes(5));
        Assert.Equal(Leave.Stopped, await worker.SweepAsync());
        Assert.Equal(2L, await _bed.Postgres.AskAsync<long>("select count(*) from pulse.tombstones"));
    }
}
