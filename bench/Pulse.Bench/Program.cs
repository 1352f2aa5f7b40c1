using System.Globalization;
using Pulse.Bench;

// In this order when all are run: those that need only the servers first, before the processes are there to disturb them.
Benchmark[] all =
[
    new("messaging", "one by one 0.9 or more of a consumer that guarantees nothing, at 1.05 commits or fewer; in groups 2.5 or more, at 0.05", MessagingBenchmark.RunAsync),
    new("relay", "0.7 or more of the broker alone; timers late by less than 250 ms p99", RelayBenchmark.RunAsync),
    new("accept", "1 500 a second with p99 under 50 ms", AcceptBenchmark.RunAsync),
    new("webhooks", "3 000 a second with p99 under 25 ms", WebhooksBenchmark.RunAsync),
    new("provisioning", "600 tenants a second at 3 commits or fewer; at 20 a second, p95 from accepted to provisioned 25 ms or less", ProvisioningBenchmark.RunAsync),
    new("propagation", "at 50 a second p50 under 100 ms and p99 under 2 s; under 0.2 fetches an event in a burst of 20 a customer", PropagationBenchmark.RunAsync),
    new("idle", "under 1 % of a core each, and under 200 MB", IdleBenchmark.RunAsync),
    new("entitlements", "a check under 200 ns and 0 B; 10 000 misses of one organization 1 query; a change seen p99 under 100 ms", EntitlementsBenchmark.RunAsync),
    new("deadletters", "groups of 10 000 p99 under 200 ms, a filter's first page under 50 ms; 1 000 a second or more collected, and replayed; among a million no more than 1.5 times as long", DeadLettersBenchmark.RunAsync),
    new("organizations", "a page costs a page, however many organizations there are", OrganizationsBenchmark.RunAsync),
    new("growth", "p95 with a million organizations no more than 1.2 times that with a thousand", GrowthBenchmark.RunAsync),
    new("soak", "under 200 MB each, and flat", SoakBenchmark.RunAsync) { OnlyWhenNamed = true },
];

var chosen = new List<Benchmark>();
var options = new BenchOptions();
for (var i = 0; i < args.Length; i++)
{
    switch (args[i])
    {
        case "--json": options = options with { Json = true }; break;
        case "--statements": options = options with { Statements = true }; break;
        case "--messages" when Number(i + 1) is { } messages: options = options with { Messages = messages }; i++; break;
        case "--runs" when Number(i + 1) is { } runs: options = options with { Runs = runs }; i++; break;
        case "--organizations" when Number(i + 1) is { } organizations: options = options with { Organizations = organizations }; i++; break;
        default:
            if (Array.Find(all, benchmark => benchmark.Name == args[i]) is not { } named)
            {
                Console.Error.WriteLine($"'{args[i]}' is no benchmark and no option with a number from 1. Benchmarks: {string.Join(", ", all.Select(benchmark => benchmark.Name))}.");
                return 2;
            }

            chosen.Add(named);
            break;
    }
}

try
{
    await using var servers = Servers.FromEnvironment();
    var versions = await Versions.ReadAsync(servers);
    foreach (var benchmark in chosen.Count > 0 ? chosen : [.. all.Where(benchmark => !benchmark.OnlyWhenNamed)])
    {
        var machine = Machine.Read();
        var outcome = await benchmark.RunAsync(new Bench(servers, options, text => Console.Error.WriteLine($"{benchmark.Name}: {text}")));
        if (options.Json)
        {
            Console.WriteLine(Report.Line(benchmark, outcome, machine, versions));
        }
        else
        {
            Report.Write(Console.Out, benchmark, outcome);
            Report.Write(Console.Out, machine, versions);
        }
    }

    return 0;
}
catch (BenchmarkException exception)
{
    Console.Error.WriteLine($"bench: {exception.Message}");
    return 1;
}

int? Number(int index) =>
    index < args.Length && int.TryParse(args[index], NumberStyles.None, CultureInfo.InvariantCulture, out var number) && number > 0 ? number : null;
