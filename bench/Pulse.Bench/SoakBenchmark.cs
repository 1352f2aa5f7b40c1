using System.Diagnostics;

namespace Pulse.Bench;

/// <summary>Fifty signups a second for ten minutes: whether memory goes on growing.</summary>
static class SoakBenchmark
{
    const int PerSecond = 50;
    static readonly TimeSpan Length = TimeSpan.FromMinutes(10);
    static readonly TimeSpan Between = TimeSpan.FromSeconds(5);

    /// <summary>Until then code is compiled, pools fill and the collector finds its size.</summary>
    static readonly TimeSpan Settled = TimeSpan.FromMinutes(3);

    public static async Task<Outcome> RunAsync(Bench bench)
    {
        await bench.Servers.StartProcessesAsync();
        await using var dataSource = bench.Servers.OpenPulse();
        using var client = new SignupClient(bench.Servers.Ingress, connections: 32);
        await PulseDatabase.QuietAsync(dataSource, TimeSpan.FromMinutes(2));
        await PulseDatabase.EmptyAsync(bench, dataSource);

        bench.Say($"{PerSecond} signups a second for {Length.TotalMinutes:0} minutes");
        using var done = new CancellationTokenSource();
        var watching = WatchAsync(bench, done.Token);
        await Load.OpenAsync(PerSecond, Length, () => client.SignUpAsync());
        await done.CancelAsync();
        var (worker, ingress) = await watching;
        await PulseDatabase.QuietAsync(dataSource, TimeSpan.FromMinutes(2));

        var signups = (long)(PerSecond * Length.TotalSeconds);
        var tenants = await dataSource.AskAsync<long>("select count(*) from pulse.organizations where not is_default");
        if (tenants != signups)
            throw new BenchmarkException($"{signups} signups became {tenants} tenants.");

        var side = new Side($"{PerSecond} signups a second for {Length.TotalMinutes:0} minutes");
        side.Add([.. Figures("worker", worker), .. Figures("ingress", ingress)]);
        return new Outcome { Measured = side };
    }

    static IEnumerable<Value> Figures(string name, List<(double Minutes, double Megabytes)> samples)
    {
        var settled = samples.FindAll(sample => sample.Minutes >= Settled.TotalMinutes);
        return
        [
            new($"resident memory of {name}, most", "MB", samples.Max(sample => sample.Megabytes)),
            new($"resident memory of {name}, at the end", "MB", samples[^1].Megabytes),
            new($"growth of {name} from minute {Settled.TotalMinutes:0} on", "MB/min", Slope(settled)),
        ];
    }

    // Ordinary least squares.
    static double Slope(List<(double X, double Y)> points)
    {
        var x = points.Average(point => point.X);
        var y = points.Average(point => point.Y);
        return points.Sum(point => (point.X - x) * (point.Y - y)) / points.Sum(point => (point.X - x) * (point.X - x));
    }

    static async Task<(List<(double, double)> Worker, List<(double, double)> Ingress)> WatchAsync(Bench bench, CancellationToken done)
    {
        var (worker, ingress) = (new List<(double, double)>(), new List<(double, double)>());
        var from = Stopwatch.GetTimestamp();
        while (!done.IsCancellationRequested)
        {
            await Task.WhenAny(Task.Delay(Between, done));
            var minutes = Stopwatch.GetElapsedTime(from).TotalMinutes;
            worker.Add((minutes, Resident("worker")));
            ingress.Add((minutes, Resident("ingress")));
        }

        return (worker, ingress);

        double Resident(string name) => ProcFile.Field($"/proc/{bench.Servers.Pid(name)}/status", "VmRSS:") / 1024.0;
    }
}
