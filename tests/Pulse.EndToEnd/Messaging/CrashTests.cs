using Pulse.Testing;

namespace Pulse.EndToEnd.Messaging;

/// <summary>A process dies between any two steps; the next one brings it to the same end.</summary>
public sealed class CrashTests : IAsyncLifetime
{
    readonly Bed _bed = new();

    public Task InitializeAsync() => _bed.InitializeAsync();

    public Task DisposeAsync() => _bed.DisposeAsync();

    [Theory]
    [InlineData("relay: before publish")]
    [InlineData("relay: before delete")]
    [InlineData("relay: after delete")]
    [InlineData("deposits: before commit")]
    [InlineData("deposits: after commit")]
    [InlineData("deposits: before acknowledge")]
    [InlineData("deposits: after acknowledge")]
    [InlineData("direct: before publish")]
    [InlineData("direct: before delete")]
    [InlineData("direct: after delete")]
    public async Task A_process_that_dies_loses_nothing_and_repeats_nothing(string point)
    {
        var stop = new StopAt(point);
        var dying = await _bed.StartAsync(atPoint: stop.PassAsync);
        await _bed.PublishAsync(new Deposited { Account = Guid.NewGuid() });
        await stop.ReachedAsync();
        await dying.DieAsync(_bed);

        var next = await _bed.StartAsync();
        await Eventually.Until(async () => await _bed.InboxAsync() == 2, TimeSpan.FromSeconds(30), "the message and its event were consumed");
        await _bed.DrainedAsync();
        // A message behind it: when it is through, whatever was delivered twice is, too.
        await _bed.PublishAsync(new Deposited { Account = Guid.NewGuid() });
        await Eventually.Until(async () => await _bed.InboxAsync() == 4, TimeSpan.FromSeconds(30), "a second one, too");
        await _bed.DrainedAsync();
        Assert.Equal(2, await _bed.DepositsAsync());
        Assert.Equal(4, await _bed.InboxAsync());
    }
}
