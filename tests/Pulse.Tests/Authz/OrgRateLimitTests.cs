using FsCheck;
using FsCheck.Fluent;
using Pulse.Ingress.Authz;
using Pulse.Tests.Signups;

namespace Pulse.Tests.Authz;

public sealed class OrgRateLimitTests
{
    static readonly Guid Org = Guid.CreateVersion7();

    [Fact]
    public void As_many_as_are_allowed_in_a_minute_may_come_at_once_and_then_one_by_one()
    {
        var rates = new OrgRateLimit(2000);
        var now = TimeSpan.TicksPerDay;
        for (var i = 0; i < 2000; i++)
            Assert.True(rates.TryTake(Org, now, out _));

        Assert.False(rates.TryTake(Org, now, out var wait));
        Assert.Equal(TimeSpan.FromMilliseconds(30), wait);
        Assert.True(rates.TryTake(Org, now + wait.Ticks, out _));
        Assert.False(rates.TryTake(Org, now + wait.Ticks, out _));
        // Another is not touched.
        Assert.True(rates.TryTake(Guid.CreateVersion7(), now, out _));
    }

    [Fact]
    public void Whoever_waits_as_long_as_told_is_let_in_and_no_minute_has_twice_as_many_and_one()
    {
        var gaps = Gen.Choose(0, 3000).Select(milliseconds => TimeSpan.FromMilliseconds(milliseconds).Ticks).ListOf(400);
        Prop.ForAll(gaps.ToArbitrary(), Gen.Choose(1, 40).ToArbitrary(), (steps, limit) =>
        {
            var rates = new OrgRateLimit(limit);
            var now = TimeSpan.TicksPerDay;
            var taken = new List<long>();
            foreach (var step in steps)
            {
                now += step;
                if (rates.TryTake(Org, now, out var wait))
                    taken.Add(now);
                else if (rates.TryTake(Org, now + wait.Ticks, out _))
                    taken.Add(now += wait.Ticks);
                else
                    return false;
            }

            return taken.TrueForAll(from => taken.Count(at => at >= from && at < from + TimeSpan.TicksPerMinute) <= 2 * limit);
        }).QuickCheckThrowOnFailure();
    }

    [Fact]
    public void Threads_that_come_together_get_no_more_than_one_would()
    {
        var rates = new OrgRateLimit(1000);
        var taken = 0;
        Parallel.For(0, 8, _ =>
        {
            for (var i = 0; i < 1000; i++)
            {
                if (rates.TryTake(Org, TimeSpan.TicksPerDay, out var _))
                    Interlocked.Increment(ref taken);
            }
        });

        Assert.Equal(1000, taken);
    }

    [Fact]
    public void A_clock_that_is_put_back_shuts_nobody_out_for_longer_than_a_minute()
    {
        var rates = new OrgRateLimit(10);
        for (var i = 0; i < 10; i++)
            Assert.True(rates.TryTake(Org, TimeSpan.TicksPerDay * 2, out _));

        Assert.False(rates.TryTake(Org, TimeSpan.TicksPerDay, out var wait));
        Assert.InRange(wait, TimeSpan.Zero, TimeSpan.FromMinutes(1));
    }

    [Fact]
    public void Memory_is_bounded_and_the_idle_make_room()
    {
        var rates = new OrgRateLimit(10, most: 100);
        var now = TimeSpan.TicksPerDay;
        for (var i = 0; i < 1000; i++)
            Assert.True(rates.TryTake(Guid.CreateVersion7(), now, out _));
        Assert.Equal(100, rates.Count);

        Assert.True(rates.TryTake(Org, now + TimeSpan.TicksPerMinute * 2, out _));
        Assert.Equal(1, rates.Count);
    }
}

public sealed class LimitedRequestTests(TestPostgres postgres) : AuthzBed(postgres)
{
    protected override string[] Variables => ["PULSE_AUTHZ_RATE_PER_MINUTE=5"];

    [Fact]
    public async Task Who_sends_too_many_is_told_when_to_come_again_and_nobody_else_is_touched()
    {
        var (org, other) = (await SubscriberAsync(), await SubscriberAsync());
        for (var i = 0; i < 5; i++)
            await Allows(await AskAsync(org));

        var refused = await AskAsync(org);
        await Denies(refused, 429, "rate_limited");
        Assert.Equal(("12", "\"org\";q=5;w=60", "\"org\";r=0;t=12"), (refused.Header("Retry-After"), refused.Header("RateLimit-Policy"), refused.Header("RateLimit")));
        await Denies(await AskAsync(org, null, ("X-Pulse-Proxy", "nginx")), 403, "rate_limited");
        await Allows(await AskAsync(other));

        Clock.Advance(TimeSpan.FromSeconds(12));
        await Allows(await AskAsync(org));
        await Denies(await AskAsync(org), 429, "rate_limited");
        // Counted apart from what an organization is denied for its own sake.
        Assert.Equal(3, Counted(Proxied, AuthzOutcome.RateLimited));
    }

    [Fact]
    public async Task The_platform_s_own_is_exempt_and_what_is_denied_does_not_count()
    {
        var org = await SubscriberAsync();
        for (var i = 0; i < 20; i++)
        {
            await Allows(await AskAsync("default"));
            await Denies(await AskAsync(org, "sso"), 403, "capability_missing");
        }

        await Allows(await AskAsync(org));
    }
}
