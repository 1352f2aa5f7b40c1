using Pulse.Entitlements;

namespace Pulse.Tests.Entitlements;

public sealed class ReaderTests(TestPostgres postgres) : IClassFixture<TestPostgres>
{
    static readonly (TimeSpan, string, string[])[] Active = [(TimeSpan.Zero, "active", ["api"])];
    static readonly (TimeSpan, string, string[])[] Expired = [(TimeSpan.Zero, "expired", [])];

    readonly TestClock _clock = new();

    [Fact]
    public async Task What_was_read_is_answered_from_memory_for_sixty_seconds_and_then_at_once_while_it_is_read_anew()
    {
        await using var bed = await ReaderBed.StartAsync(postgres, _clock);
        var org = await postgres.OrgAsync(_clock.GetUtcNow(), Active);

        var first = await bed.CheckAsync(org);
        Assert.Equal(new Verdict(true, Freshness.Fresh, null, _clock.GetUtcNow()), first);

        // Nobody tells it: this one does not listen.
        await postgres.ChangeAsync(org, _clock.GetUtcNow(), Expired);
        _clock.Advance(TimeSpan.FromSeconds(60));
        Assert.Equal(first, await bed.CheckAsync(org));
        Assert.Equal(1, bed.Reader.Queries);

        _clock.Advance(TimeSpan.FromSeconds(1));
        Assert.Equal(first with { Freshness = Freshness.LastKnown }, await bed.CheckAsync(org));
        await Eventually.Until(async () => await bed.CheckAsync(org) == new Verdict(false, Freshness.Fresh, DenialReason.SubscriptionRequired, _clock.GetUtcNow()),
            TimeSpan.FromSeconds(5), "it was read anew");
        Assert.Equal(2, bed.Reader.Queries);
    }

    [Fact]
    public async Task What_is_older_than_an_hour_waits_for_the_store()
    {
        await using var bed = await ReaderBed.StartAsync(postgres, _clock);
        var org = await postgres.OrgAsync(_clock.GetUtcNow(), Active);
        await bed.CheckAsync(org);
        await postgres.ChangeAsync(org, _clock.GetUtcNow(), Expired);

        _clock.Advance(TimeSpan.FromHours(1) + TimeSpan.FromSeconds(1));

        Assert.Equal(new Verdict(false, Freshness.Fresh, DenialReason.SubscriptionRequired, _clock.GetUtcNow()), await bed.CheckAsync(org));
    }

    [Fact]
    public async Task A_clock_that_was_put_back_makes_nothing_fresh_for_ever()
    {
        await using var bed = await ReaderBed.StartAsync(postgres, _clock);
        var org = await postgres.OrgAsync(_clock.GetUtcNow().AddDays(-60), Active);
        await bed.CheckAsync(org);
        await postgres.ChangeAsync(org, _clock.GetUtcNow().AddDays(-60), Expired);

        _clock.Advance(TimeSpan.FromDays(-30));

        Assert.Equal(DenialReason.SubscriptionRequired, (await bed.CheckAsync(org)).Reason);
    }

    [Fact]
    public async Task A_boundary_takes_effect_at_its_time_with_the_store_down_and_nobody_telling()
    {
        await using var bed = await ReaderBed.StartAsync(postgres, _clock);
        var org = await postgres.OrgAsync(_clock.GetUtcNow(), (TimeSpan.Zero, "grace", ["api"]), (TimeSpan.FromDays(2), "suspended", []), (TimeSpan.FromDays(32), "expired", []));
        Assert.True((await bed.CheckAsync(org)).Allowed);
        Assert.Equal(_clock.GetUtcNow().AddDays(2), (await bed.Reader.GetAsync(org))!.NextBoundaryAt);
        bed.Proxy.Fault = Fault.Reset;

        _clock.Advance(TimeSpan.FromDays(2) - TimeSpan.FromTicks(1));
        var before = await bed.CheckAsync(org);
        _clock.Advance(TimeSpan.FromTicks(1));
        var after = await bed.CheckAsync(org);

        Assert.Equal((true, Freshness.LastKnown, null), (before.Allowed, before.Freshness, before.Reason));
        Assert.Equal((false, Freshness.LastKnown, DenialReason.SubscriptionRequired), (after.Allowed, after.Freshness, after.Reason));
    }

    [Fact]
    public async Task With_the_store_down_the_last_known_answer_goes_on_whether_it_granted_or_denied()
    {
        await using var bed = await ReaderBed.StartAsync(postgres, _clock);
        var (granted, denied) = (await postgres.OrgAsync(_clock.GetUtcNow(), Active), await postgres.OrgAsync(_clock.GetUtcNow(), Expired));
        var readAt = _clock.GetUtcNow();
        await bed.CheckAsync(granted);
        await bed.CheckAsync(denied);

        bed.Proxy.Fault = Fault.Reset;
        foreach (var later in (TimeSpan[])[TimeSpan.FromMinutes(2), TimeSpan.FromHours(2), TimeSpan.FromDays(2)])
        {
            _clock.Advance(later);
            Assert.Equal(new Verdict(true, Freshness.LastKnown, null, readAt), await bed.CheckAsync(granted));
            Assert.Equal(new Verdict(false, Freshness.LastKnown, DenialReason.SubscriptionRequired, readAt), await bed.CheckAsync(denied));
        }

        bed.Proxy.Fault = Fault.None;
        await Eventually.Until(async () => (await bed.CheckAsync(granted)).Freshness == Freshness.Fresh, TimeSpan.FromSeconds(10), "it is read again");
    }

    [Fact]
    public async Task Who_was_never_read_is_taken_for_on_trial_for_an_hour_while_the_store_is_down()
    {
        await using var bed = await ReaderBed.StartAsync(postgres, _clock);
        var org = await postgres.OrgAsync(_clock.GetUtcNow(), Active);
        bed.Proxy.Fault = Fault.Reset;
        var asked = _clock.GetUtcNow();

        Assert.Equal(new Verdict(true, Freshness.Assumed, null, asked), await bed.CheckAsync(org, "trial-api"));
        Assert.Equal(new Verdict(false, Freshness.Assumed, DenialReason.CapabilityMissing, asked), await bed.CheckAsync(org, "api"));
        Assert.Equal(LimitLevel.Hard, (await bed.Reader.LimitAsync(org, "seats", 3)).Level);
        var state = (await bed.Reader.GetAsync(org))!;
        Assert.Equal(("trial", "assumed", Freshness.Assumed), (state.SubscriptionState, state.Source, state.Freshness));

        _clock.Advance(TimeSpan.FromHours(1) - TimeSpan.FromTicks(1));
        Assert.True((await bed.CheckAsync(org, "trial-api")).Allowed);
        _clock.Advance(TimeSpan.FromTicks(1));
        Assert.Equal(new Verdict(false, Freshness.Assumed, DenialReason.Unavailable, asked), await bed.CheckAsync(org, "trial-api"));
        Assert.Null(await bed.Reader.GetAsync(org));
        Assert.Equal(new LimitVerdict(LimitLevel.Hard, null, Freshness.Assumed, DenialReason.Unavailable, asked), await bed.Reader.LimitAsync(org, "seats", 0));

        bed.Proxy.Fault = Fault.None;
        await Eventually.Until(async () => await bed.CheckAsync(org) is { Allowed: true, Freshness: Freshness.Fresh }, TimeSpan.FromSeconds(10), "the store is found again");
    }

    [Theory]
    [InlineData(Fault.Reset)]
    [InlineData(Fault.HalfOpen)]
    public async Task A_store_that_is_gone_is_waited_for_once_and_not_by_everybody(Fault fault)
    {
        await using var bed = await ReaderBed.StartAsync(postgres, _clock, configure: options => (options.Timeout, options.Retry) = (TimeSpan.FromMilliseconds(500), TimeSpan.FromSeconds(30)));
        await bed.CheckAsync(await postgres.OrgAsync(_clock.GetUtcNow(), Active));
        bed.Proxy.Fault = fault;

        var since = System.Diagnostics.Stopwatch.StartNew();
        Assert.Equal(Freshness.Assumed, (await bed.CheckAsync(Guid.NewGuid())).Freshness);
        // The first one waits, within the limit and what a machine that is busy adds.
        Assert.InRange(since.Elapsed, TimeSpan.Zero, TimeSpan.FromSeconds(3));

        var queries = bed.Reader.Queries;
        since.Restart();
        for (var i = 0; i < 1000; i++)
            Assert.Equal(Freshness.Assumed, (await bed.CheckAsync(Guid.NewGuid())).Freshness);
        Assert.InRange(since.Elapsed, TimeSpan.Zero, TimeSpan.FromSeconds(1));
        Assert.Equal(queries, bed.Reader.Queries);
    }

    [Fact]
    public async Task An_organization_that_does_not_exist_is_denied_and_found_soon_after_it_was_made()
    {
        await using var bed = await ReaderBed.StartAsync(postgres, _clock);
        var org = Guid.CreateVersion7();

        Assert.Equal(new Verdict(false, Freshness.Fresh, DenialReason.OrgNotFound, _clock.GetUtcNow()), await bed.CheckAsync(org));
        Assert.Null(await bed.Reader.GetAsync(org));
        Assert.Equal(DenialReason.OrgNotFound, (await bed.Reader.LimitAsync(org, "seats", 0)).Reason);
        Assert.Equal(1, bed.Reader.Queries);

        await postgres.RunAsync("insert into pulse.organizations (org_id, name, status, created_at) values ($1, 'New', 'active', $2)", org, _clock.GetUtcNow().UtcDateTime);
        _clock.Advance(TimeSpan.FromSeconds(6));
        // The view's local trial, without a row of billing: no end, and the trial plan's capabilities, which are none here.
        Assert.Equal((DenialReason.CapabilityMissing, Freshness.Fresh), ((await bed.CheckAsync(org)).Reason, (await bed.CheckAsync(org)).Freshness));
        Assert.Equal(("trial", "local_trial"), ((await bed.Reader.GetAsync(org))!.SubscriptionState, (await bed.Reader.GetAsync(org))!.Source));
    }

    [Fact]
    public async Task The_local_trial_of_the_view_ends_at_its_time()
    {
        await using var bed = await ReaderBed.StartAsync(postgres, _clock);
        var org = Guid.CreateVersion7();
        await postgres.RunAsync("insert into pulse.organizations (org_id, name, status, created_at) values ($1, 'New', 'active', $2)", org, _clock.GetUtcNow().UtcDateTime);
        await postgres.RunAsync("insert into pulse.billing_states (org_id, subscription_state, plan_version, trial_ends_at, updated_at) values ($1, 'trial', 'trial', $2, $3)",
            org, _clock.GetUtcNow().AddDays(14).UtcDateTime, _clock.GetUtcNow().UtcDateTime);

        Assert.Equal(DenialReason.CapabilityMissing, (await bed.CheckAsync(org)).Reason);
        _clock.Advance(TimeSpan.FromDays(14));
        Assert.Equal(DenialReason.SubscriptionRequired, (await bed.CheckAsync(org)).Reason);
    }

    [Fact]
    public async Task The_platform_s_own_organization_may_do_everything_without_a_limit()
    {
        await using var bed = await ReaderBed.StartAsync(postgres, _clock);
        var org = await postgres.AskAsync<Guid>("select org_id from pulse.organizations where is_default");

        Assert.True((await bed.CheckAsync(org, "whatever")).Allowed);
        Assert.Equal((LimitLevel.Within, (long?)null), ((await bed.Reader.LimitAsync(org, "seats", long.MaxValue)).Level, (await bed.Reader.LimitAsync(org, "seats", 1)).Limit));
        Assert.True((await bed.Reader.GetAsync(org))!.Unlimited);
    }

    [Fact]
    public async Task Limits_are_those_of_the_segment_in_force()
    {
        await using var bed = await ReaderBed.StartAsync(postgres, _clock);
        var org = await postgres.OrgAsync(_clock.GetUtcNow(), (TimeSpan.Zero, "active", ["api"]), (TimeSpan.FromDays(1), "expired", []));

        var now = _clock.GetUtcNow();
        Assert.Equal(new LimitVerdict(LimitLevel.Within, 10, Freshness.Fresh, null, now), await bed.Reader.LimitAsync(org, "seats", 8));
        Assert.Equal(new LimitVerdict(LimitLevel.Soft, 10, Freshness.Fresh, null, now), await bed.Reader.LimitAsync(org, "seats", 9));
        Assert.Equal(new LimitVerdict(LimitLevel.Hard, 10, Freshness.Fresh, DenialReason.LimitReached, now), await bed.Reader.LimitAsync(org, "seats", 10));
        Assert.Equal(new LimitVerdict(LimitLevel.Within, null, Freshness.Fresh, null, now), await bed.Reader.LimitAsync(org, "projects", 1_000_000));

        _clock.Advance(TimeSpan.FromDays(1));
        Assert.Equal((LimitLevel.Hard, DenialReason.SubscriptionRequired), ((await bed.Reader.LimitAsync(org, "seats", 0)).Level, (await bed.Reader.LimitAsync(org, "seats", 0)).Reason));
    }

    [Fact]
    public async Task Ten_thousand_misses_of_one_organization_are_one_query()
    {
        await using var bed = await ReaderBed.StartAsync(postgres, _clock);
        var org = await postgres.OrgAsync(_clock.GetUtcNow(), Active);

        var verdicts = await Task.WhenAll(Enumerable.Range(0, 10_000).Select(_ => Task.Run(() => bed.CheckAsync(org))));

        Assert.All(verdicts, verdict => Assert.True(verdict.Allowed));
        Assert.Equal(1, bed.Reader.Queries);
    }

    [Fact]
    public async Task Misses_of_many_organizations_share_queries()
    {
        await using var bed = await ReaderBed.StartAsync(postgres, _clock);

        var verdicts = await Task.WhenAll(Enumerable.Range(0, 2_000).Select(_ => bed.CheckAsync(Guid.NewGuid())));

        Assert.All(verdicts, verdict => Assert.Equal(DenialReason.OrgNotFound, verdict.Reason));
        Assert.InRange(bed.Reader.Queries, 4, 50);
    }

    [Fact]
    public async Task No_more_organizations_are_kept_than_the_option_says()
    {
        await using var bed = await ReaderBed.StartAsync(postgres, _clock, configure: options => options.MostOrganizations = 100);
        var org = await postgres.OrgAsync(_clock.GetUtcNow(), Active);

        await Task.WhenAll(Enumerable.Range(0, 5_000).Select(_ => bed.CheckAsync(Guid.NewGuid())));

        Assert.Equal(100, bed.Reader.Organizations);
        Assert.True((await bed.CheckAsync(org)).Allowed);
    }

    [Fact]
    public async Task A_row_that_can_t_be_understood_leaves_what_was_known_and_its_neighbours_alone()
    {
        await using var bed = await ReaderBed.StartAsync(postgres, _clock);
        var (broken, sound) = (await postgres.OrgAsync(_clock.GetUtcNow(), Active), await postgres.OrgAsync(_clock.GetUtcNow(), Active));
        Assert.True((await bed.CheckAsync(broken)).Allowed);
        await postgres.RunAsync("update pulse.billing_states set timeline = '[{\"from\":7}]', version = version + 1 where org_id = $1", broken);
        _clock.Advance(TimeSpan.FromHours(2));

        var verdicts = await Task.WhenAll(bed.CheckAsync(broken), bed.CheckAsync(sound));

        Assert.Equal((true, Freshness.LastKnown), (verdicts[0].Allowed, verdicts[0].Freshness));
        Assert.Equal((true, Freshness.Fresh), (verdicts[1].Allowed, verdicts[1].Freshness));
    }

    [Fact]
    public async Task Every_answer_is_counted_by_its_freshness()
    {
        await using var bed = await ReaderBed.StartAsync(postgres, _clock);
        var org = await postgres.OrgAsync(_clock.GetUtcNow(), Active);
        await bed.CheckAsync(org);
        await bed.Reader.LimitAsync(org, "seats", 1);
        await bed.Reader.GetAsync(org);
        bed.Proxy.Fault = Fault.Reset;
        _clock.Advance(TimeSpan.FromMinutes(2));
        await bed.CheckAsync(org);
        await bed.CheckAsync(Guid.NewGuid());

        Assert.Equal((3, 1, 1), (bed.Reader.Reads(Freshness.Fresh), bed.Reader.Reads(Freshness.LastKnown), bed.Reader.Reads(Freshness.Assumed)));

        var seen = new Dictionary<string, long>();
        using var listener = new System.Diagnostics.Metrics.MeterListener
        {
            InstrumentPublished = (instrument, listener) =>
            {
                if (instrument.Name == "pulse_entitlement_reads_total")
                    listener.EnableMeasurementEvents(instrument);
            },
        };
        // Readers of other tests that run beside this one are counted as well.
        listener.SetMeasurementEventCallback<long>((_, value, tags, _) => seen[(string)tags[0].Value!] = seen.GetValueOrDefault((string)tags[0].Value!) + value);
        listener.Start();
        listener.RecordObservableInstruments();
        Assert.Equal(["assumed", "fresh", "last_known"], seen.Keys.Order());
        Assert.True(seen["fresh"] >= 3 && seen["last_known"] >= 1 && seen["assumed"] >= 1);
    }

    [Fact]
    public async Task A_warm_answer_allocates_nothing()
    {
        await using var bed = await ReaderBed.StartAsync(postgres, _clock);
        var org = await postgres.OrgAsync(_clock.GetUtcNow(), Active);
        await bed.CheckAsync(org);
        await bed.Reader.LimitAsync(org, "seats", 1);

        Assert.Equal(0, Allocated(bed.Reader, org));

        static long Allocated(EntitlementReader reader, Guid org)
        {
            var from = 0L;
            // The first round is the compiler's.
            for (var round = 0; round < 2; round++)
            {
                from = GC.GetAllocatedBytesForCurrentThread();
                for (var i = 0; i < 1000; i++)
                {
                    var check = reader.CheckAsync(org, "api");
                    var limit = reader.LimitAsync(org, "seats", i);
                    if (!check.IsCompletedSuccessfully || !limit.IsCompletedSuccessfully)
                        throw new InvalidOperationException("It waits.");
                }
            }

            return GC.GetAllocatedBytesForCurrentThread() - from;
        }
    }
}
