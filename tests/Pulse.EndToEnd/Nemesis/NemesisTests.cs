using System.Globalization;
using System.Security.Cryptography;
using Pulse.Testing;
using Xunit.Abstractions;

namespace Pulse.EndToEnd.Nemesis;

/// <summary>They have the machine to themselves.</summary>
[CollectionDefinition(nameof(NemesisAlone), DisableParallelization = true)]
public sealed class NemesisAlone;

/// <summary>Every process is killed, again and again, while signups come in. What was acknowledged happened, once.</summary>
/// <remarks><c>./pulse test --nemesis N</c> runs it longer. PULSE_NEMESIS_SEED repeats a run's blows and wishes.</remarks>
[Collection(nameof(NemesisAlone))]
public sealed class NemesisTests(ITestOutputHelper output)
{
    static int Seed => Number("PULSE_NEMESIS_SEED") ?? RandomNumberGenerator.GetInt32(1_000_000);

    [Fact]
    public Task Every_acknowledged_signup_ends_once_whatever_is_killed() =>
        RunAsync(new Run(Number("PULSE_NEMESIS_SIGNUPS") ?? 500, Seed));

    // The meanest fault by itself, so that what heals is not a process that was killed in time.
    [Theory]
    [InlineData(Platform.Broker)]
    [InlineData(Platform.Postgres)]
    public Task Connections_that_are_dead_and_do_not_know_it_only_delay(string server) =>
        RunAsync(new Run(60, seed: 1, planned: [new Blow([], Fault.HalfOpen, server, Hurry: 0.5, Lasts: TimeSpan.FromSeconds(4), WaitsForReady: true)]));

    [Fact]
    public Task Two_workers_and_two_ingresses_stand_in_for_one_another() =>
        RunAsync(new Run(200, Seed, workers: 2, ingresses: 2, planned:
        [
            Kill("worker-1"), Kill("ingress-1"), Kill("worker-2", "ingress-2"), Kill(Platform.Postgres), Kill("worker-1", "worker-2"), Kill("worker-2", "ingress-1"),
        ]));

    // It stays dead, so it is without it that the run comes to its end. It is the first in PULSE_RABBITMQ.
    [Fact]
    public Task A_cluster_of_brokers_goes_on_without_the_one_that_was_killed() =>
        RunAsync(new Run(200, Seed, workers: 2, ingresses: 2, nodes: 3, planned: [Kill("rabbitmq-2") with { Lasts = Timeout.InfiniteTimeSpan }]));

    static Blow Kill(params string[] names) => new(names, Fault.None, "", Hurry: 0.5, Lasts: TimeSpan.FromSeconds(2), WaitsForReady: true);

    async Task RunAsync(Run run)
    {
        try
        {
            await run.GoAsync();
        }
        finally
        {
            output.WriteLine($"PULSE_NEMESIS_SEED={run.Seed}\n\n{run.Table}");
            if (Environment.GetEnvironmentVariable("PULSE_NEMESIS_TABLE") is { Length: > 0 } file)
                await File.AppendAllTextAsync(file, run.Table + "\n");
        }

        Assert.True(run.Mistakes.Count == 0, $"PULSE_NEMESIS_SEED={run.Seed}\n{string.Join('\n', run.Mistakes.Take(20).Select(mistake => $"{mistake.Kind}: {mistake.What}"))}");
    }

    static int? Number(string variable) =>
        int.TryParse(Environment.GetEnvironmentVariable(variable), CultureInfo.InvariantCulture, out var number) ? number : null;
}
