using System.Diagnostics;

namespace Pulse.Bench;

/// <summary>
/// The same signups, 50 a second for 20 seconds, with few and with many organizations there before, while both processes'
/// metrics are scraped. Not in turn: filling the database takes longer than measuring.
/// </summary>
static class GrowthBenchmark
{
    const int Few = 1_000;
    const int PerSecond = 50;
    static readonly TimeSpan Length = TimeSpan.FromSeconds(20);

    public static async Task<Outcome> RunAsync(Bench bench)
    {
        await bench.Servers.StartProcessesAsync();
        await using var dataSource = bench.Servers.OpenPulse();
        using var client = new SignupClient(bench.Servers.Ingress, connections: 32);
        var few = new Side($"with {Few:#,0} organizations");
        var many = new Side($"with {bench.Options.Organizations:#,0} organizations");

        await PulseDatabase.QuietAsync(dataSource, TimeSpan.FromMinutes(2));
        await PulseDatabase.EmptyAsync(bench, dataSource);
        await PulseDatabase.SeedAsync(bench, dataSource, 0, Few);
        await bench.AlternateAsync(() => Load.ClosedAsync(32, 500, () => client.SignUpAsync()), (few, MeasureAsync));

        bench.Say($"adding organizations up to {bench.Options.Organizations}");
        await PulseDatabase.SeedAsync(bench, dataSource, Few, bench.Options.Organizations);
        await bench.AlternateAsync(() => Load.ClosedAsync(32, 500, () => client.SignUpAsync()), (many, MeasureAsync));

        await PulseDatabase.QuietAsync(dataSource, TimeSpan.FromMinutes(1));
        await PulseDatabase.EmptyAsync(bench, dataSource);
        const string p95 = "accepted to provisioned, by the processes' clock, p95";
        return new Outcome { Measured = many, Bound = few, Ratio = new Ratio(p95, p95) };

        async Task<IEnumerable<Value>> MeasureAsync()
        {
            await PulseDatabase.QuietAsync(dataSource, TimeSpan.FromMinutes(1));
            using var done = new CancellationTokenSource();
            var scraping = ScrapeAsync(bench.Servers, done.Token);
            var values = await ProvisioningLatency.MeasureAsync(dataSource, client, PerSecond, Length);
            await done.CancelAsync();
            return values.Concat((await scraping).Percentiles("GET /metrics of the worker").Take(1));
        }
    }

    // Prometheus comes every 15 s; here it comes more often, so that a run meets it.
    static async Task<Latencies> ScrapeAsync(Servers servers, CancellationToken done)
    {
        var latencies = new Latencies();
        using var http = new HttpClient(new SocketsHttpHandler { UseProxy = false });
        while (!done.IsCancellationRequested)
        {
            var at = Stopwatch.GetTimestamp();
            await http.GetStringAsync(new Uri(servers.Worker, "/metrics"), CancellationToken.None);
            latencies.Add(Stopwatch.GetElapsedTime(at));
            await Task.WhenAny(Task.Delay(TimeSpan.FromSeconds(3), done));
        }

        return latencies;
    }
}
