using Pulse.Worker.Billing.Stripe;

namespace Pulse.Tests.Billing;

/// <summary>All workers together ask Stripe no faster than they may.</summary>
public sealed class RequestRateTests : IAsyncLifetime
{
    readonly SyncBed _bed = new();

    public Task InitializeAsync() => _bed.InitializeAsync();

    public Task DisposeAsync() => _bed.DisposeAsync();

    [Fact]
    public async Task Within_any_second_there_are_fewer_than_Stripe_allows_whoever_asks()
    {
        var rates = Enumerable.Range(0, 3).Select(_ => new RequestRate(_bed.Data, _bed.Account(rate: 15), _bed.Clock)).ToList();
        var turns = new List<TimeSpan>();
        for (var ask = 0; ask < 60; ask++)
        {
            if (await rates[ask % 3].TakeAsync(CancellationToken.None) is { } wait)
                turns.Add(wait);
        }

        // Two seconds of turns and the burst; the rest is told to come later.
        Assert.InRange(turns.Count, 30, 40);
        Assert.All(turns, from => Assert.True(turns.Count(turn => turn >= from && turn < from + TimeSpan.FromSeconds(1)) < 25));
        _bed.Clock.Advance(TimeSpan.FromSeconds(10));
        Assert.Equal(TimeSpan.Zero, await rates[0].TakeAsync(CancellationToken.None));
    }

    [Fact]
    public async Task A_clock_that_was_moved_and_reset_holds_nothing_up()
    {
        var ahead = new TestClock();
        ahead.Advance(TimeSpan.FromDays(30));
        await new RequestRate(_bed.Data, _bed.Account(rate: 15), ahead).TakeAsync(CancellationToken.None);

        Assert.NotNull(await new RequestRate(_bed.Data, _bed.Account(rate: 15), _bed.Clock).TakeAsync(CancellationToken.None));
    }
}
