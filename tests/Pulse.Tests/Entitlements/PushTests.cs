using Pulse.Entitlements;

namespace Pulse.Tests.Entitlements;

public sealed class PushTests(TestPostgres postgres) : IClassFixture<TestPostgres>
{
    static readonly (TimeSpan, string, string[])[] Active = [(TimeSpan.Zero, "active", ["api"])];
    static readonly (TimeSpan, string, string[])[] Expired = [(TimeSpan.Zero, "expired", [])];

    // It stands still: what is seen is not seen because time went by.
    readonly TestClock _clock = new();

    [Fact]
    public async Task A_change_is_heard_of_and_read()
    {
        await using var bed = await ReaderBed.StartAsync(postgres, _clock, push: true);
        var org = await postgres.OrgAsync(_clock.GetUtcNow(), Active);
        await bed.ListeningAsync();
        await FreshAsync(bed, org, allowed: true);

        await postgres.ChangeAsync(org, _clock.GetUtcNow(), Expired);
        await FreshAsync(bed, org, allowed: false);

        await postgres.ChangeAsync(org, _clock.GetUtcNow(), Active);
        await FreshAsync(bed, org, allowed: true);
    }

    [Fact]
    public async Task A_suspended_organization_is_heard_of_too()
    {
        await using var bed = await ReaderBed.StartAsync(postgres, _clock, push: true);
        var org = await postgres.OrgAsync(_clock.GetUtcNow(), Active);
        await bed.ListeningAsync();
        await FreshAsync(bed, org, allowed: true);

        await postgres.RunAsync("update pulse.organizations set status = 'suspended' where org_id = $1", org);

        await FreshAsync(bed, org, allowed: false);
        Assert.Equal(DenialReason.OrgSuspended, (await bed.CheckAsync(org)).Reason);
    }

    [Fact]
    public async Task What_changed_while_nothing_was_heard_is_stale_when_it_is_heard_again()
    {
        await using var bed = await ReaderBed.StartAsync(postgres, _clock, push: true);
        var (changed, same) = (await postgres.OrgAsync(_clock.GetUtcNow(), Active), await postgres.OrgAsync(_clock.GetUtcNow(), Active));
        await bed.ListeningAsync();
        await FreshAsync(bed, changed, allowed: true);
        await FreshAsync(bed, same, allowed: true);

        // Cut when this returns: nothing announced from here on arrives.
        bed.Proxy.Fault = Fault.Reset;
        await postgres.ChangeAsync(changed, _clock.GetUtcNow(), Expired);
        bed.Proxy.Fault = Fault.None;

        // The clock stands still, so by age it would be fresh for ever.
        await FreshAsync(bed, changed, allowed: false);
        await FreshAsync(bed, same, allowed: true);
    }

    [Fact]
    public async Task A_connection_that_is_dead_without_a_word_is_found_out()
    {
        await using var bed = await ReaderBed.StartAsync(postgres, _clock, push: true, configure: options => options.Timeout = TimeSpan.FromMilliseconds(500));
        var org = await postgres.OrgAsync(_clock.GetUtcNow(), Active);
        await bed.ListeningAsync();
        await FreshAsync(bed, org, allowed: true);

        bed.Proxy.Fault = Fault.HalfOpen;
        await postgres.ChangeAsync(org, _clock.GetUtcNow(), Expired);
        bed.Proxy.Fault = Fault.None;

        // The old connections stay dead; a new one is made.
        await FreshAsync(bed, org, allowed: false);
    }

    [Fact]
    public async Task A_change_within_a_read_is_not_lost()
    {
        await using var bed = await ReaderBed.StartAsync(postgres, _clock, push: true);
        await bed.ListeningAsync();
        for (var i = 0; i < 50; i++)
        {
            var org = await postgres.OrgAsync(_clock.GetUtcNow(), Active);
            // The first read and the change race, each time a little differently.
            var read = bed.CheckAsync(org);
            await Task.WhenAll(read, postgres.ChangeAsync(org, _clock.GetUtcNow(), Expired));
            await FreshAsync(bed, org, allowed: false);
        }
    }

    [Fact]
    public async Task An_announcement_that_nobody_understands_makes_everything_stale()
    {
        await using var bed = await ReaderBed.StartAsync(postgres, _clock, push: true);
        var org = await postgres.OrgAsync(_clock.GetUtcNow(), Active);
        await bed.ListeningAsync();
        await FreshAsync(bed, org, allowed: true);
        var queries = bed.Reader.Queries;

        foreach (var payload in (string[])["", "[]", "{\"org\":\"x\",\"version\":1}", "{\"org\":7}"])
        {
            await postgres.RunAsync("select pg_notify('pulse_entitlements', $1)", payload);
            await Eventually.Until(async () => (await bed.CheckAsync(org)).Freshness == Freshness.Fresh && bed.Reader.Queries > queries, TimeSpan.FromSeconds(10), "it was read anew");
            queries = bed.Reader.Queries;
        }
    }

    static Task FreshAsync(ReaderBed bed, Guid org, bool allowed) => Eventually.Until(
        async () => await bed.CheckAsync(org) is { Freshness: Freshness.Fresh } verdict && verdict.Allowed == allowed, TimeSpan.FromSeconds(15), $"allowed is {allowed}");
}
