using System.Collections.Concurrent;
using System.Diagnostics;
using System.Net.Http.Json;
using System.Text.Json;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Npgsql;
using Pulse.Entitlements;

namespace Pulse.Bench;

/// <summary>
/// From a change at Stripe (the double of it) to an answer of the library that knows it: event, webhook, worker, fetch, projection, push.
/// At a steady rate, each change of another customer than the ones before; then bursts on few customers, for the fetches that they cost.
/// </summary>
static class PropagationBenchmark
{
    /// <summary>Of deploy/plans.example.json.</summary>
    const string Price = "pro_monthly";
    const int Customers = 200;
    const int PerSecond = 50;
    const int BurstCustomers = 25;
    const int BurstEvents = 20;
    static readonly TimeSpan Length = TimeSpan.FromSeconds(20);

    public static async Task<Outcome> RunAsync(Bench bench)
    {
        await bench.Servers.StartProcessesAsync();
        await using var dataSource = bench.Servers.OpenPulse();
        await PulseDatabase.QuietAsync(dataSource, TimeSpan.FromMinutes(2));
        await PulseDatabase.EmptyAsync(bench, dataSource);
        await dataSource.RunAsync("truncate pulse.stripe_events, pulse.stripe_customers");
        await PulseDatabase.SeedAsync(bench, dataSource, 0, Customers);

        using var stripe = new StripeControl(bench.Servers.Stripe);
        await using var provider = new ServiceCollection().AddPulseEntitlements(options => options.ConnectionString = bench.Servers.PulseAddress).BuildServiceProvider();
        var hosted = provider.GetServices<IHostedService>().ToList();
        foreach (var service in hosted)
            await service.StartAsync(CancellationToken.None);

        var steady = new Side($"{PerSecond} changes a second for {Length.TotalSeconds:0} s, over {Customers} customers");
        var burst = new Side($"{BurstEvents} changes of each of {BurstCustomers} customers, as fast as they are made");
        try
        {
            var runs = new Runs(stripe, provider.GetRequiredService<EntitlementReader>(), await SubscribeAsync(bench, dataSource, stripe));
            await bench.AlternateAsync(
                async () => await runs.SteadyAsync(TimeSpan.FromSeconds(4)),
                (steady, () => runs.SteadyAsync(Length)),
                (burst, runs.BurstAsync));
        }
        finally
        {
            foreach (var service in hosted)
                await service.StopAsync(CancellationToken.None);
        }

        return new Outcome { Measured = steady, Variants = [burst] };
    }

    static async Task<(Guid Org, string Customer)[]> SubscribeAsync(Bench bench, NpgsqlDataSource dataSource, StripeControl stripe)
    {
        bench.Say($"{Customers} customers subscribe");
        await stripe.DoAsync("prices/add", new { id = Price });
        var orgs = new List<Guid>();
        await using (var command = dataSource.CreateCommand("select org_id from pulse.organizations where not is_default"))
        {
            await using var row = await command.ExecuteReaderAsync();
            while (await row.ReadAsync())
                orgs.Add(row.GetGuid(0));
        }

        var customers = new ConcurrentBag<(Guid, string)>();
        await Parallel.ForEachAsync(orgs, new ParallelOptions { MaxDegreeOfParallelism = 4 }, async (org, _) =>
        {
            var customer = (await stripe.DoAsync("customers/create", new { org_id = org.ToString() })).GetProperty("id").GetString()!;
            await stripe.DoAsync("subscriptions/create", new { customer, price = Price, status = "active", org_id = org.ToString() });
            customers.Add((org, customer));
        });
        await dataSource.UntilAsync("select count(*) from pulse.stripe_customers where org_id is not null and synced >= dirty", synced => synced == Customers, TimeSpan.FromMilliseconds(100), TimeSpan.FromMinutes(3));
        return [.. customers];
    }

    sealed class Runs(StripeControl stripe, EntitlementReader reader, (Guid Org, string Customer)[] customers)
    {
        int _change;

        public async Task<IEnumerable<Value>> SteadyAsync(TimeSpan length)
        {
            await stripe.DoAsync("requests", new { reset = true });
            var seen = new Latencies();
            var next = -1;
            await Load.OpenAsync(PerSecond, length, () => ChangeAsync(customers[Interlocked.Increment(ref next) % customers.Length], seen));
            return
            [
                .. seen.Percentiles("change at Stripe to answer of the library"),
                new Value("fetches per event", "", await FetchesAsync() / (double)seen.Count),
            ];
        }

        public async Task<IEnumerable<Value>> BurstAsync()
        {
            await stripe.DoAsync("requests", new { reset = true });
            var seen = new Latencies();
            var at = Stopwatch.GetTimestamp();
            await Parallel.ForEachAsync(customers[..BurstCustomers], new ParallelOptions { MaxDegreeOfParallelism = BurstCustomers }, async (customer, _) =>
            {
                for (var i = 1; i < BurstEvents; i++)
                    await SetAsync(customer.Customer, $"f{Interlocked.Increment(ref _change)}");
                await ChangeAsync(customer, seen);
            });
            var elapsed = Stopwatch.GetElapsedTime(at);
            // Those of events that came late belong to it.
            await Task.Delay(TimeSpan.FromSeconds(2));
            return
            [
                new Value("until every last change was seen", "ms", elapsed.TotalMilliseconds),
                .. seen.Percentiles("last change of a customer to answer of the library"),
                new Value("fetches per event", "", await FetchesAsync() / (double)(BurstCustomers * BurstEvents)),
            ];
        }

        async Task ChangeAsync((Guid Org, string Customer) customer, Latencies seen)
        {
            var feature = $"f{Interlocked.Increment(ref _change)}";
            var at = Stopwatch.GetTimestamp();
            await SetAsync(customer.Customer, feature);
            while (!(await reader.CheckAsync(customer.Org, feature)).Allowed)
            {
                if (Stopwatch.GetElapsedTime(at) > TimeSpan.FromMinutes(2))
                    throw new BenchmarkException($"A change of {customer.Customer} was not seen within two minutes.");
                await Task.Delay(2);
            }

            seen.Add(Stopwatch.GetElapsedTime(at));
        }

        async Task SetAsync(string customer, string feature) => await stripe.DoAsync("entitlements/set", new { customer, features = new[] { feature } });

        async Task<int> FetchesAsync()
        {
            var counts = (await stripe.DoAsync("requests", new { })).GetProperty("counts");
            return counts.TryGetProperty("GET /v1/subscriptions", out var fetches) ? fetches.GetInt32() : throw new BenchmarkException($"Nobody asked Stripe for subscriptions: {counts}");
        }
    }

    /// <summary>What happens at Stripe, told to the double.</summary>
    sealed class StripeControl(Uri url) : IDisposable
    {
        readonly HttpClient _http = new(new SocketsHttpHandler { UseProxy = false }) { BaseAddress = url };

        public async Task<JsonElement> DoAsync(string name, object body)
        {
            using var response = await _http.PostAsJsonAsync($"/control/{name}", body);
            var answer = await response.Content.ReadFromJsonAsync<JsonElement>();
            return response.IsSuccessStatusCode ? answer.GetProperty("result") : throw new BenchmarkException($"/control/{name} was answered {(int)response.StatusCode}: {answer}");
        }

        public void Dispose() => _http.Dispose();
    }
}
