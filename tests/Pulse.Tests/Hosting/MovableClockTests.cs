using Pulse.Hosting;

namespace Pulse.Tests.Hosting;

public sealed class MovableClockTests : IDisposable
{
    readonly string _file = Path.Combine(Path.GetTempPath(), Path.GetRandomFileName());

    [Fact]
    public async Task It_follows_its_file_and_comes_back_when_that_is_gone()
    {
        var clock = new MovableClock(_file);
        AssertMovedBy(clock, TimeSpan.Zero);

        await File.WriteAllTextAsync(_file, "2592000");
        await Eventually.Until(() => clock.GetUtcNow() > DateTimeOffset.UtcNow.AddDays(29), TimeSpan.FromSeconds(5), "the clock is moved");
        AssertMovedBy(clock, TimeSpan.FromDays(30));
        AssertMovedBy(new MovableClock(_file), TimeSpan.FromDays(30));

        File.Delete(_file);
        await Eventually.Until(() => clock.GetUtcNow() < DateTimeOffset.UtcNow.AddDays(1), TimeSpan.FromSeconds(5), "the clock is put back");
    }

    [Fact]
    public async Task Half_written_is_as_before()
    {
        await File.WriteAllTextAsync(_file, "60");
        var clock = new MovableClock(_file);
        AssertMovedBy(clock, TimeSpan.FromSeconds(60));

        await File.WriteAllTextAsync(_file, "");
        var looked = clock.GetTimestamp();
        await Eventually.Until(() => clock.GetElapsedTime(looked) > TimeSpan.FromMilliseconds(250), TimeSpan.FromSeconds(5), "it has looked again");

        AssertMovedBy(clock, TimeSpan.FromSeconds(60));
    }

    public void Dispose() => File.Delete(_file);

    static void AssertMovedBy(MovableClock clock, TimeSpan by) =>
        Assert.InRange(clock.GetUtcNow() - TimeProvider.System.GetUtcNow(), by - TimeSpan.FromSeconds(5), by + TimeSpan.FromSeconds(5));
}
