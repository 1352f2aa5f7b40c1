using System.Collections.Concurrent;
using System.Diagnostics;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Npgsql;
using Pulse.Entitlements;

namespace Pulse.Bench;

/// <summary>
/// The library in this process, on a database with a million organizations: what a check costs from memory, what happens to memory when all
/// of them come by, how many queries ten thousand misses of one are, and how long a change takes to be seen.
/// </summary>
static class EntitlementsBenchmark
{
    const int Warm = 1_024;
    const int Checks = 4_000_000;
    const int Cached = 100_000;
    const int Misses = 10_000;
    const int Changes = 500;
    const string Capability = "export";

    public static async Task<Outcome> RunAsync(Bench bench)
    {
        await bench.Servers.StartProcessesAsync();
        await using var dataSource = bench.Servers.OpenPulse();
        await PulseDatabase.QuietAsync(dataSource, TimeSpan.FromMinutes(2));
        await PulseDatabase.EmptyAsync(bench, dataSource);
        bench.Say($"making {bench.Options.Organizations} organizations");
        await PulseDatabase.SeedAsync(bench, dataSource, 0, bench.Options.Organizations);
        // It would go on with what it does for a million organizations by itself.
        await bench.Servers.StopAsync("worker");
        var trial = await dataSource.AskAsync<string>(TrialSql);
        await dataSource.RunAsync(PlanSql);
        var orgs = await ReadOrgsAsync(dataSource);

        var warm = new Side($"CheckAsync of {Warm} organizations in turn, in memory and fresh");
        var lookup = new Side($"a ConcurrentDictionary alone: TryGetValue of {Warm} keys in turn");
        var misses = new Side($"{Misses} checks at once of one organization that is not in memory");
        var change = new Side($"{Changes} changes, one after the other: UPDATE sent to CheckAsync answering by it, commit included");
        var churn = new Side($"CheckAsync of {bench.Options.Organizations} organizations, once each, 64 at a time, {Cached} kept in memory");
        try
        {
            await using var service = await Service.StartAsync(bench.Servers.PulseAddress);
            var reader = service.Reader;
            var hot = orgs[..Warm];
            await bench.AlternateAsync(
                async () =>
                {
                    // Once a change is heard of, the reader listens: from then on nothing becomes stale at once.
                    await ChangesAsync(dataSource, reader, orgs[Warm..(Warm + 50)]);
                    await WarmAsync(reader, hot);
                    Lookup(hot);
                },
                (warm, () => WarmAsync(reader, hot)),
                (lookup, () => Task.FromResult(Lookup(hot))),
                (misses, () => MissesAsync(bench.Servers.PulseAddress, orgs[^1])),
                (change, () => ChangesAsync(dataSource, reader, orgs[Warm..(Warm + Changes)])));

            bench.Say("all of them once");
            churn.Add(await ChurnAsync(bench.Servers.PulseAddress, orgs));
        }
        finally
        {
            await PulseDatabase.EmptyAsync(bench, dataSource);
            await dataSource.RunAsync(RestoreSql, trial);
            await bench.Servers.RestartAsync("worker");
        }

        return new Outcome
        {
            Measured = warm,
            Variants = [misses, change, churn],
            Bound = lookup,
            Ratio = new Ratio("checks per second, 1 thread", "lookups per second"),
        };
    }

    const string TrialSql = "select row_to_json(t)::text from pulse.plan_versions t where plan_version = 'trial'";

    const string RestoreSql = """
        update pulse.plan_versions t set capabilities = before.capabilities, limits = before.limits
        from json_populate_record(null::pulse.plan_versions, $1::json) before where t.plan_version = 'trial'
        """;

    const string PlanSql = """
        update pulse.plan_versions set capabilities = array['api', 'export', 'webhooks', 'sso', 'audit'], limits = '{"seats": 10, "projects": 3}' where plan_version = 'trial'
        """;

    static async Task<Guid[]> ReadOrgsAsync(NpgsqlDataSource dataSource)
    {
        var orgs = new List<Guid>();
        await using var command = dataSource.CreateCommand("select org_id from pulse.organizations where not is_default");
        await using var row = await command.ExecuteReaderAsync();
        while (await row.ReadAsync())
            orgs.Add(row.GetGuid(0));
        // As they come in life: not in the order of their making.
        Random.Shared.Shuffle(System.Runtime.InteropServices.CollectionsMarshal.AsSpan(orgs));
        return [.. orgs];
    }

    static async Task<IEnumerable<Value>> WarmAsync(EntitlementReader reader, Guid[] orgs)
    {
        foreach (var org in orgs)
        {
            Verdict verdict;
            while ((verdict = await reader.CheckAsync(org, Capability)).Freshness != Freshness.Fresh)
                await Task.Delay(1);
            if (!verdict.Allowed)
                throw new BenchmarkException($"An organization on trial is denied: {verdict}.");
        }

        var queries = reader.Queries;
        var allocated = GC.GetAllocatedBytesForCurrentThread();
        var at = Stopwatch.GetTimestamp();
        Check(reader, orgs, Checks);
        var one = Stopwatch.GetElapsedTime(at).TotalSeconds;
        allocated = GC.GetAllocatedBytesForCurrentThread() - allocated;

        at = Stopwatch.GetTimestamp();
        var threads = Enumerable.Range(0, 2).Select(_ => new Thread(() => Check(reader, orgs, Checks))).ToArray();
        foreach (var thread in threads)
            thread.Start();
        foreach (var thread in threads)
            thread.Join();
        var two = Stopwatch.GetElapsedTime(at).TotalSeconds;
        if (reader.Queries != queries)
            throw new BenchmarkException("What should be answered from memory was read.");

        return
        [
            new Value("a check, 1 thread", "ns", one / Checks * 1e9),
            new Value("allocated for a check", "B", (double)allocated / Checks),
            new Value("checks per second, 1 thread", "1/s", Checks / one),
            new Value("checks per second, 2 threads", "1/s", 2 * Checks / two),
            new Value("2 threads over 1", "", 2 * one / two),
        ];
    }

    static void Check(EntitlementReader reader, Guid[] orgs, int count)
    {
        for (var i = 0; i < count; i++)
        {
            var verdict = reader.CheckAsync(orgs[i & (Warm - 1)], Capability);
            if (!verdict.IsCompletedSuccessfully || !verdict.Result.Allowed)
                throw new BenchmarkException("It was not answered from memory.");
        }
    }

    static IEnumerable<Value> Lookup(Guid[] orgs)
    {
        var dictionary = new ConcurrentDictionary<Guid, object>(orgs.Select(org => KeyValuePair.Create(org, new object())));
        var found = 0;
        var at = Stopwatch.GetTimestamp();
        for (var i = 0; i < Checks; i++)
            found += dictionary.TryGetValue(orgs[i & (Warm - 1)], out _) ? 1 : 0;
        var elapsed = Stopwatch.GetElapsedTime(at).TotalSeconds;
        return found == Checks
            ? [new Value("a lookup", "ns", elapsed / Checks * 1e9), new Value("lookups per second", "1/s", Checks / elapsed)]
            : throw new BenchmarkException("A key was not found.");
    }

    static async Task<IEnumerable<Value>> MissesAsync(string postgres, Guid org)
    {
        await using var service = await Service.StartAsync(postgres);
        var at = Stopwatch.GetTimestamp();
        var verdicts = await Task.WhenAll(Enumerable.Range(0, Misses).Select(_ => Task.Run(() => service.Reader.CheckAsync(org, Capability).AsTask())));
        var elapsed = Stopwatch.GetElapsedTime(at);
        if (!verdicts.All(verdict => verdict.Allowed))
            throw new BenchmarkException("A miss was denied.");
        return [new Value("queries", "", service.Reader.Queries), new Value("until all are answered", "ms", elapsed.TotalMilliseconds)];
    }

    const string ChangeSql = """
        update pulse.billing_states set version = version + 1, timeline = jsonb_build_array(jsonb_build_object(
            'from', '2026-01-01T00:00:00+00:00', 'state', $2::text, 'plan_version', 'trial', 'capabilities', $3::jsonb, 'limits', '{}'::jsonb,
            'meters_enabled', '[]'::jsonb, 'source', 'stripe'))
        where org_id = $1
        """;

    static async Task<IEnumerable<Value>> ChangesAsync(NpgsqlDataSource dataSource, EntitlementReader reader, Guid[] orgs)
    {
        var seen = new Latencies();
        foreach (var org in orgs)
        {
            var before = (await reader.CheckAsync(org, Capability)).Allowed;
            var at = Stopwatch.GetTimestamp();
            var update = dataSource.RunAsync(ChangeSql, org, before ? "expired" : "active", before ? "[]" : "[\"export\"]");
            while ((await reader.CheckAsync(org, Capability)).Allowed == before)
            {
                if (Stopwatch.GetElapsedTime(at) > TimeSpan.FromSeconds(30))
                    throw new BenchmarkException("A change was not seen within 30 s.");
                // Not a busy loop: it would take a core from Postgres.
                await Task.Delay(1);
            }

            seen.Add(Stopwatch.GetElapsedTime(at));
            await update;
        }

        return seen.Percentiles("seen after, looked for every millisecond");
    }

    static async Task<IEnumerable<Value>> ChurnAsync(string postgres, Guid[] orgs)
    {
        var before = GC.GetTotalMemory(forceFullCollection: true);
        await using var service = await Service.StartAsync(postgres);
        var next = -1;
        var full = 0L;
        var at = Stopwatch.GetTimestamp();
        var latencies = await Load.ClosedAsync(64, orgs.Length, async () =>
        {
            var number = Interlocked.Increment(ref next);
            // Those that were changed before may be denied, and what was read while the announcements began is LastKnown; all must have been read.
            var verdict = await service.Reader.CheckAsync(orgs[number], Capability);
            if (verdict.Freshness == Freshness.Assumed)
                throw new BenchmarkException($"An organization was not read: {verdict}.");
            // What the bound lets in, against what is there in the end.
            if (number == Cached)
                full = GC.GetTotalMemory(forceFullCollection: true) - before;
        });
        var elapsed = Stopwatch.GetElapsedTime(at);
        var after = GC.GetTotalMemory(forceFullCollection: true) - before;
        if (service.Reader.Organizations > Cached)
            throw new BenchmarkException($"{service.Reader.Organizations} organizations are in memory.");

        GC.KeepAlive(latencies);
        return
        [
            new Value("organizations per second", "1/s", orgs.Length / elapsed.TotalSeconds),
            .. latencies.Percentiles("answered after"),
            new Value("queries", "", service.Reader.Queries),
            new Value("organizations in memory at the end", "", service.Reader.Organizations),
            new Value($"memory after the first {Cached}", "MB", full / 1048576d),
            new Value("memory at the end", "MB", (after - latencies.Count * 8d) / 1048576d),
        ];
    }

    /// <summary>What a service of the platform is, as far as the library sees it.</summary>
    sealed class Service(ServiceProvider provider) : IAsyncDisposable
    {
        public EntitlementReader Reader { get; } = provider.GetRequiredService<EntitlementReader>();

        public static async Task<Service> StartAsync(string postgres)
        {
            var provider = new ServiceCollection().AddPulseEntitlements(options =>
            {
                options.ConnectionString = postgres;
                options.MostOrganizations = Cached;
                options.Timeout = TimeSpan.FromSeconds(10);
            }).BuildServiceProvider();
            foreach (var hosted in provider.GetServices<IHostedService>())
                await hosted.StartAsync(CancellationToken.None);
            return new Service(provider);
        }

        public async ValueTask DisposeAsync()
        {
            foreach (var hosted in provider.GetServices<IHostedService>())
                await hosted.StopAsync(CancellationToken.None);
            await provider.DisposeAsync();
        }
    }
}
