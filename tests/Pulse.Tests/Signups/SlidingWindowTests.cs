using FsCheck;
using FsCheck.Fluent;
using Npgsql;
using Pulse.Ingress.Signups;

namespace Pulse.Tests.Signups;

public sealed class SlidingWindowTests(TestPostgres postgres) : IClassFixture<TestPostgres>
{
    [Fact]
    public async Task The_statement_decides_as_a_list_of_times_does()
    {
        var steps = Gen.Frequency((3, Gen.Choose(0, 300)), (1, Gen.Choose(3000, 4000)), (1, Gen.Elements(0, 3599, 3600, 3601))).ArrayOf(25);
        foreach (var (run, sequence) in steps.Sample(20).Index())
        {
            var window = SlidingWindow.PerClient;
            var now = DateTime.SpecifyKind(new DateTime(2030, 1, 1), DateTimeKind.Utc);
            var accepted = new List<DateTime>();
            foreach (var seconds in sequence)
            {
                now = now.AddSeconds(seconds);
                accepted.RemoveAll(hit => hit <= now - window.Length);
                var expected = accepted.Count >= window.Quota;
                if (!expected)
                    accepted.Add(now);

                // Refused hits are stored as well here: what they leave behind must not count.
                var state = window.AfterHit(await HitAsync(SignupTable.Hit(window, $"run {run}", now)), now);

                Assert.Equal(expected, state.Refused);
                Assert.Equal(window.Quota - accepted.Count, state.Remaining);
                Assert.Equal(accepted[0] + window.Length - now, state.Reset);
                Assert.Equal(accepted, await HitAsync(SignupTable.Hits(window, $"run {run}", now)));
                Assert.Equal(accepted.Count >= window.Quota, window.Before([.. accepted], now).Refused);
            }
        }
    }

    [Fact]
    public void Nobody_is_told_to_come_back_too_early() =>
        Prop.ForAll<PositiveInt>(milliseconds =>
        {
            var now = DateTime.UnixEpoch;
            var age = TimeSpan.FromMilliseconds(milliseconds.Get % 3_600_000);
            var state = SlidingWindow.PerClient.AfterHit([now - age, now, now, now, now, now], now);
            return state.Refused && state.Reset >= TimeSpan.FromHours(1) - age && state.Reset >= TimeSpan.FromSeconds(1) && state.Reset.Ticks % TimeSpan.TicksPerSecond == 0;
        }).QuickCheckThrowOnFailure();

    async Task<DateTime[]> HitAsync(NpgsqlBatchCommand command)
    {
        await using var batch = postgres.Ingress.CreateBatch();
        batch.BatchCommands.Add(command);
        return (DateTime[])(await batch.ExecuteScalarAsync())!;
    }
}
