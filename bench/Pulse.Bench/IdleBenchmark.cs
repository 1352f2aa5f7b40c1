using System.Diagnostics;

namespace Pulse.Bench;

/// <summary>What is used up when nothing happens, after some load: 20 seconds a run.</summary>
static class IdleBenchmark
{
    static readonly TimeSpan Length = TimeSpan.FromSeconds(20);

    public static async Task<Outcome> RunAsync(Bench bench)
    {
        await bench.Servers.StartProcessesAsync();
        await using var dataSource = bench.Servers.OpenPulse();
        using var client = new SignupClient(bench.Servers.Ingress, connections: 16);
        var idle = new Side($"nothing to do for {Length.TotalSeconds:0} s, after 2 000 signups");
        await bench.AlternateAsync(
            async () =>
            {
                await PulseDatabase.QuietAsync(dataSource, TimeSpan.FromMinutes(2));
                await PulseDatabase.EmptyAsync(bench, dataSource);
                await Load.ClosedAsync(16, 2_000, () => client.SignUpAsync());
                await PulseDatabase.QuietAsync(dataSource, TimeSpan.FromMinutes(2));
                // Longer than the servers go on tidying up.
                await Task.Delay(TimeSpan.FromSeconds(10));
            },
            (idle, () => MeasureAsync(bench.Servers)));
        return new Outcome { Measured = idle };
    }

    static async Task<IEnumerable<Value>> MeasureAsync(Servers servers)
    {
        string[] names = ["worker", "ingress", "postgres", "rabbitmq"];
        var trees = names.Select(name => (IReadOnlyCollection<int>)[servers.Pid(name)]).ToArray();
        var at = Stopwatch.GetTimestamp();
        var from = ProcFile.TreesBusy(trees);
        await Task.Delay(Length);
        var to = ProcFile.TreesBusy(trees);
        var seconds = Stopwatch.GetElapsedTime(at).TotalSeconds;

        return
        [
            .. names.Select((name, i) => new Value($"CPU of {name}", "% of a core", (to[i] - from[i]) / seconds * 100)),
            .. names[..2].Select(name => new Value($"resident memory of {name}", "MB", ProcFile.Field($"/proc/{servers.Pid(name)}/status", "VmRSS:") / 1024.0)),
        ];
    }
}
