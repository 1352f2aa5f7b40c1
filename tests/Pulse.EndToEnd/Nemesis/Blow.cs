using Pulse.Testing;

namespace Pulse.EndToEnd.Nemesis;

/// <summary>One thing that the nemesis does.</summary>
/// <param name="Kills">The processes that are killed together; none for a fault of the network.</param>
/// <param name="Fault">What happens to the connections to <paramref name="Server"/> otherwise.</param>
/// <param name="Server">Which server's connections.</param>
/// <param name="Hurry">Where within its share of the signups it comes, 0 to 1.</param>
/// <param name="Lasts">How long they stay dead, or the network faulty; <see cref="Timeout.InfiniteTimeSpan"/> is to the end of the run.</param>
/// <param name="WaitsForReady">Whether it waits for the readiness of what the blow before it killed. If not, it hits a process that is starting.</param>
sealed record Blow(IReadOnlyList<string> Kills, Fault Fault, string Server, double Hurry, TimeSpan Lasts, bool WaitsForReady)
{
    public override string ToString() => Kills.Count > 0 ? $"kill -9 {string.Join(" + ", Kills)}" : $"{Fault} to {Server}";

    /// <summary>A run's blows, the same for the same seed.</summary>
    public static List<Blow> Plan(int signups, Platform platform, Random random)
    {
        List<string> kills =
        [
            .. Pick(Platform.Worker, signups / 100), .. Pick(Platform.Ingress, signups / 200),
            .. Pick(Platform.Broker, signups / 200), .. Pick(Platform.Postgres, signups / 100),
        ];
        random.Shuffle(System.Runtime.InteropServices.CollectionsMarshal.AsSpan(kills));

        var blows = new List<Blow>();
        for (var i = 0; i < kills.Count; i++)
        {
            List<string> together = [kills[i]];
            while (i + 1 < kills.Count && !together.Contains(kills[i + 1]) && random.NextDouble() < 0.25)
                together.Add(kills[++i]);
            blows.Add(Make(together, Fault.None, ""));
        }

        for (var i = 0; i < Math.Max(4, signups / 100); i++)
        {
            var fault = (Fault)(1 + i % 4);
            blows.Insert(random.Next(blows.Count + 1), Make([], fault, random.Next(2) == 0 ? Platform.Postgres : Platform.Broker));
        }

        return blows;

        IEnumerable<string> Pick(string kind, int count) =>
            Enumerable.Range(0, count).Select(_ => platform.Named(kind)[random.Next(platform.Named(kind).Count)]);

        Blow Make(List<string> together, Fault fault, string server) => new(
            together, fault, server, random.NextDouble(), TimeSpan.FromMilliseconds(fault == Fault.None ? random.Next(1500) : random.Next(1000, 5000)),
            random.NextDouble() < 0.8);
    }
}
