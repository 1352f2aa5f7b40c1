using System.Globalization;
using System.Text.Json;
using FsCheck;
using FsCheck.Fluent;
using Pulse.Entitlements;

namespace Pulse.Tests.Entitlements;

public sealed class TimelineTests
{
    static readonly DateTimeOffset Start = new(2026, 1, 1, 0, 0, 0, TimeSpan.Zero);

    [Fact]
    public void At_any_time_the_last_segment_that_has_begun_decides() =>
        Prop.ForAll(Timelines.Zip(Gen.Choose(-10, 110)).ToArbitrary(), given =>
        {
            var (days, at) = given;
            var known = Known(new TimelineJson().Parse(Json(days)));
            // Told another way: of all that have begun, the one that began last; before all of them, the earliest.
            var expected = days.Where(day => day <= at).DefaultIfEmpty(days.Min()).Max();
            return days.All(day => (known.Denial($"day{day}", Ticks(at)) is null) == (day == expected));
        }).QuickCheckThrowOnFailure();

    [Fact]
    public void The_next_boundary_is_the_time_of_the_next_other_answer() =>
        Prop.ForAll(Timelines.Zip(Gen.Choose(-10, 110)).ToArbitrary(), given =>
        {
            var (days, at) = given;
            var timeline = new TimelineJson().Parse(Json(days));
            // Walked day by day.
            var current = timeline.At(Ticks(at));
            var next = Enumerable.Range(at + 1, 130).Select(Ticks).FirstOrDefault(day => timeline.At(day) != current);
            return timeline.NextAfter(Ticks(at)) == (next == 0 ? null : next);
        }).QuickCheckThrowOnFailure();

    [Theory]
    [InlineData("trial", null)]
    [InlineData("active", null)]
    [InlineData("grace", null)]
    [InlineData("expired", "subscription_required")]
    [InlineData("suspended", "subscription_required")]
    [InlineData("something_new", "subscription_required")]
    public void Access_is_in_trial_active_and_grace(string state, string? reason) =>
        Assert.Equal(reason, Known(new TimelineJson().Parse(Segment(Start, "api", state))).Denial("api", Start.UtcTicks));

    [Fact]
    public void A_capability_that_the_plan_lacks_is_missing() =>
        Assert.Equal(DenialReason.CapabilityMissing, Known(new TimelineJson().Parse(Segment(Start, "api", "active"))).Denial("API", Start.UtcTicks));

    [Theory]
    [InlineData("active", false, null)]
    [InlineData("suspended", false, "org_suspended")]
    [InlineData("pending_deletion", false, "org_pending_deletion")]
    [InlineData("purged", false, "org_inactive")]
    [InlineData("suspended", true, "org_suspended")]
    [InlineData("active", true, null)]
    public void The_organization_s_own_status_comes_first(string lifecycle, bool unlimited, string? reason)
    {
        var known = new Known
        {
            Exists = true,
            Version = 1,
            Lifecycle = lifecycle,
            Unlimited = unlimited,
            ReadAt = 0,
            Generation = 0,
            Timeline = unlimited ? Timeline.Empty : new TimelineJson().Parse(Segment(Start, "api", "active")),
        };

        Assert.Equal(reason, known.Denial("api", Start.UtcTicks));
    }

    [Fact]
    public void Unlimited_allows_what_nobody_has_heard_of() =>
        Assert.Null(new Known { Exists = true, Unlimited = true, ReadAt = 0, Generation = 0 }.Denial("anything", Start.UtcTicks));

    [Fact]
    public void What_does_not_exist_and_what_has_no_timeline_is_denied()
    {
        Assert.Equal(DenialReason.OrgNotFound, new Known { Exists = false, ReadAt = 0, Generation = 0 }.Denial("api", 0));
        Assert.Equal(DenialReason.SubscriptionRequired, new Known { Exists = true, ReadAt = 0, Generation = 0 }.Denial("api", 0));
    }

    [Theory]
    [InlineData("")]
    [InlineData("null")]
    [InlineData("{}")]
    [InlineData("[7]")]
    [InlineData("[{}]")]
    [InlineData("[{\"from\":\"yesterday\"}]")]
    [InlineData("[{\"from\":\"2026-01-01T00:00:00+00:00\",\"state\":\"active\"}]")]
    [InlineData("[{\"from\":\"2026-01-01T00:00:00+00:00\",\"state\":\"active\",\"plan_version\":\"p\",\"capabilities\":[],\"limits\":{\"seats\":\"many\"},\"meters_enabled\":[],\"source\":\"stripe\"}]")]
    [InlineData("[{\"from\":\"2026-01-01T00:00:00+00:00\",\"state\":\"active\",\"plan_version\":\"p\",\"capabilities\":[],\"limits\":{\"seats\":1.5},\"meters_enabled\":[],\"source\":\"stripe\"}]")]
    public void What_is_no_timeline_is_said_to_be_none(string json) => Assert.ThrowsAny<JsonException>(() => new TimelineJson().Parse(json));

    [Fact]
    public void What_plans_have_alike_is_kept_once()
    {
        var json = new TimelineJson();

        var (one, other) = (json.Parse(Segment(Start, "api", "active")).At(0)!, json.Parse(Segment(Start.AddDays(1), "api", "active")).At(0)!);

        Assert.Same(one.Capabilities, other.Capabilities);
        Assert.Same(one.Limits, other.Limits);
        Assert.Same(one.PlanVersion, other.PlanVersion);
    }

    [Fact]
    public void A_fill_never_overwrites_a_newer_version_whatever_the_order() =>
        Prop.ForAll(Gen.Choose(1, 5).Zip(Gen.Choose(0, 100)).NonEmptyListOf().ToArbitrary(), fills =>
        {
            var entry = new Entry(Guid.Empty, 0);
            var highest = 0L;
            foreach (var (version, readAt) in fills)
            {
                entry.Fill(new Known { Exists = true, Version = version, ReadAt = readAt, Generation = 0 }, stale: 1000);
                highest = Math.Max(highest, version);
                if (entry.Known!.Version != highest)
                    return false;
            }

            return true;
        }).QuickCheckThrowOnFailure();

    [Fact]
    public void A_store_that_was_restored_is_believed_when_what_is_known_is_too_old()
    {
        var entry = new Entry(Guid.Empty, 0);
        entry.Fill(new Known { Exists = true, Version = 9, ReadAt = 0, Generation = 0 }, stale: 1000);
        entry.Fill(new Known { Exists = true, Version = 2, ReadAt = 1000, Generation = 0 }, stale: 1000);
        Assert.Equal(9, entry.Known!.Version);

        entry.Fill(new Known { Exists = true, Version = 2, ReadAt = 1001, Generation = 0 }, stale: 1000);
        Assert.Equal(2, entry.Known!.Version);
    }

    [Theory]
    [InlineData(0, null, "Within")]
    [InlineData(long.MaxValue, null, "Within")]
    [InlineData(0, 0L, "Hard")]
    [InlineData(0, 1L, "Within")]
    [InlineData(1, 1L, "Hard")]
    [InlineData(8, 10L, "Within")]
    [InlineData(9, 10L, "Soft")]
    [InlineData(10, 10L, "Hard")]
    [InlineData(11, 10L, "Hard")]
    [InlineData(4, 5L, "Within")]
    [InlineData(13, 15L, "Within")]
    [InlineData(14, 15L, "Soft")]
    [InlineData(long.MaxValue - 1, long.MaxValue, "Soft")]
    [InlineData(-5, 10L, "Within")]
    public void A_limit_is_soft_from_ninety_percent_on_and_hard_at_itself(long used, long? limit, string level) =>
        Assert.Equal(level, LimitRules.Level(used, limit, 90).ToString());

    [Fact]
    public void However_many_organizations_come_no_more_are_kept_than_may_be_and_those_that_are_asked_for_stay()
    {
        var cache = new EntryCache(1000);
        var loved = Guid.NewGuid();
        for (var i = 0; i < 100_000; i++)
        {
            cache.GetOrAdd(Guid.NewGuid(), 0);
            cache.GetOrAdd(loved, 0).Touched = true;
            Assert.InRange(cache.Count, 1, 1000);
        }

        Assert.True(cache.TryGet(loved, out _));
    }

    // One to five different days, in any order: what is stored need not be sorted.
    static Gen<int[]> Timelines => Gen.Choose(1, 5).SelectMany(count => Gen.Choose(0, 100).ListOf(count)).Select(days => days.Distinct().ToArray());

    static string Json(int[] days) => $"[{string.Join(',', days.Select(day => Segment(Start.AddDays(day), $"day{day}", "active")[1..^1]))}]";

    static string Segment(DateTimeOffset from, string capability, string state) =>
        $$"""[{"from":"{{from.ToString("O", CultureInfo.InvariantCulture)}}","state":"{{state}}","plan_version":"p1","capabilities":["{{capability}}"],"limits":{"seats":3},"meters_enabled":["m"],"source":"stripe"}]""";

    static long Ticks(int day) => Start.AddDays(day).UtcTicks;

    static Known Known(Timeline timeline) => new() { Exists = true, Version = 1, ReadAt = 0, Generation = 0, Timeline = timeline };
}
