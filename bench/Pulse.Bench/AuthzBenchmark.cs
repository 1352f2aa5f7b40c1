using System.Diagnostics;
using System.Net;
using Npgsql;

namespace Pulse.Bench;

/// <summary>
/// /authz of the real ingress over HTTP, against its own bare 204: the same requests, to another path. And how long a suspended organization
/// is still let in, under that load, with its suspension announced and without.
/// </summary>
static class AuthzBenchmark
{
    const int Organizations = 1_024;
    const int Connections = 32;
    const int Suspensions = 200;
    const int Unannounced = 64;
    const string Capability = "export";
    static readonly TimeSpan Duration = TimeSpan.FromSeconds(10);
    static readonly TimeSpan Bound = TimeSpan.FromSeconds(60);

    public static async Task<Outcome> RunAsync(Bench bench)
    {
        await bench.Servers.StartProcessesAsync();
        await using var dataSource = bench.Servers.OpenPulse();
        await PulseDatabase.QuietAsync(dataSource, TimeSpan.FromMinutes(2));
        await PulseDatabase.EmptyAsync(bench, dataSource);
        await PulseDatabase.SeedAsync(bench, dataSource, 0, Organizations + Suspensions + Unannounced);
        await dataSource.RunAsync(SubscribeSql, Capability);
        var orgs = await OrgsAsync(dataSource);
        using var wrk = new Wrk(bench.Servers.Ingress, bench.Servers.AuthzKey, Capability, orgs[..Organizations]);
        using var http = new HttpClient(new SocketsHttpHandler { MaxConnectionsPerServer = 4 }) { BaseAddress = bench.Servers.Ingress };
        var proxy = new Proxy(http, bench.Servers.AuthzKey);

        var authz = new Side($"GET /authz with a capability, {Organizations} organizations in turn, {Connections} connections");
        var bare = new Side("the same requests to /health/ping of the same ingress: 204, and no thought");
        var suspended = new Side($"{Suspensions} suspensions, one after the other, under that load: UPDATE sent to the first denial, commit included");
        var silent = new Side($"{Unannounced} suspensions that nobody announced: the commit to the first denial");
        await bench.AlternateAsync(
            async () =>
            {
                await wrk.RunAsync("/authz", Connections, Duration);
                await wrk.RunAsync("/health/ping", Connections, Duration);
            },
            (authz, () => MeasuredAsync(bench, () => wrk.RunAsync("/authz", Connections, Duration))),
            (bare, () => MeasuredAsync(bench, () => wrk.RunAsync("/health/ping", Connections, Duration))));

        bench.Say(suspended.What);
        var load = wrk.RunAsync("/authz", Connections, TimeSpan.FromSeconds(20));
        suspended.Add(await SuspendAsync(dataSource, proxy, orgs[Organizations..(Organizations + Suspensions)]));
        await load;

        bench.Say(silent.What);
        silent.Add(await SuspendSilentlyAsync(dataSource, proxy, orgs[(Organizations + Suspensions)..]));
        await PulseDatabase.EmptyAsync(bench, dataSource);
        return new Outcome
        {
            Measured = authz,
            Variants = [suspended, silent],
            Bound = bare,
            Ratio = new Ratio("requests per second", "requests per second"),
        };
    }

    const string SubscribeSql = """
        update pulse.billing_states set version = version + 1, timeline = jsonb_build_array(jsonb_build_object(
            'from', '2026-01-01T00:00:00+00:00', 'state', 'active', 'plan_version', 'trial', 'capabilities', jsonb_build_array('api', $1::text, 'sso'),
            'limits', '{}'::jsonb, 'meters_enabled', '[]'::jsonb, 'source', 'stripe'))
        """;

    const string OrgsSql = "select org_id from pulse.organizations where not is_default order by org_id";

    static async Task<Guid[]> OrgsAsync(NpgsqlDataSource dataSource)
    {
        var orgs = new List<Guid>();
        await using var command = dataSource.CreateCommand(OrgsSql);
        await using var row = await command.ExecuteReaderAsync();
        while (await row.ReadAsync())
            orgs.Add(row.GetGuid(0));
        return [.. orgs];
    }

    static async Task<IEnumerable<Value>> MeasuredAsync(Bench bench, Func<Task<IEnumerable<Value>>> runAsync)
    {
        // The client is wrk, which is a child of this process.
        var measurement = Measurement.Of(bench.Servers, "ingress");
        var from = measurement.Read();
        var values = (await runAsync()).ToList();
        var count = (int)(values[0].Amount * Duration.TotalSeconds);
        return [.. values, .. measurement.Cost(from, measurement.Read(), count, "requests").Skip(1)];
    }

    // As the worker's lifecycle does, less the rest of its transaction.
    const string SuspendSql = "update pulse.organizations set status = 'suspended', suspended_at = now() where org_id = any($1)";

    static async Task<IEnumerable<Value>> SuspendAsync(NpgsqlDataSource dataSource, Proxy proxy, Guid[] orgs)
    {
        var seen = new Latencies();
        foreach (var org in orgs)
        {
            if (!await proxy.AllowsAsync(org))
                throw new BenchmarkException("An organization with a subscription is denied.");

            var at = Stopwatch.GetTimestamp();
            var update = dataSource.RunAsync(SuspendSql, new[] { org });
            while (await proxy.AllowsAsync(org))
            {
                if (Stopwatch.GetElapsedTime(at) > Bound * 2)
                    throw new BenchmarkException("A suspended organization was let in for too long.");
                await Task.Delay(1);
            }

            seen.Add(Stopwatch.GetElapsedTime(at));
            await update;
        }

        return seen.Percentiles("denied after, asked every millisecond");
    }

    const string SilenceSql = "alter table pulse.organizations disable trigger organizations_status_announced";
    const string SpeakSql = "alter table pulse.organizations enable trigger organizations_status_announced";

    static async Task<IEnumerable<Value>> SuspendSilentlyAsync(NpgsqlDataSource dataSource, Proxy proxy, Guid[] orgs)
    {
        foreach (var org in orgs)
            await proxy.AllowsAsync(org);

        await dataSource.RunAsync(SilenceSql);
        await dataSource.RunAsync(SuspendSql, orgs);
        var at = Stopwatch.GetTimestamp();
        await dataSource.RunAsync(SpeakSql);
        var seen = new Latencies();
        var left = orgs.ToList();
        var longest = TimeSpan.Zero;
        while (left.Count > 0)
        {
            foreach (var org in left.ToList())
            {
                if (await proxy.AllowsAsync(org))
                    continue;
                longest = Stopwatch.GetElapsedTime(at);
                seen.Add(longest);
                left.Remove(org);
            }

            if (Stopwatch.GetElapsedTime(at) > Bound * 2)
                throw new BenchmarkException("A suspended organization was let in for longer than the bound.");
            await Task.Delay(20);
        }

        return [.. seen.Percentiles("denied after, asked all the time"), new Value("the longest", "ms", longest.TotalMilliseconds)];
    }

    sealed class Proxy(HttpClient http, string key)
    {
        public async Task<bool> AllowsAsync(Guid org)
        {
            using var request = new HttpRequestMessage(HttpMethod.Get, "/authz");
            request.Headers.Add("X-Pulse-Authz-Key", key);
            request.Headers.Add("X-Pulse-Org-Id", org.ToString());
            using var answer = await http.SendAsync(request);
            return answer.StatusCode switch
            {
                HttpStatusCode.NoContent => true,
                HttpStatusCode.Forbidden => false,
                var other => throw new BenchmarkException($"/authz answered {(int)other}."),
            };
        }
    }
}
