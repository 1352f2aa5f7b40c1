using System.Collections.Concurrent;
using System.Diagnostics;
using Npgsql;

namespace Pulse.Bench;

/// <summary>How long signups at a steady rate take until their tenants are there, by two clocks.</summary>
static class ProvisioningLatency
{
    // The processes' own clock: when ingress accepted, and the time that the worker gave the tenant before it committed it.
    const string OwnClockSql = """
        select extract(epoch from o.created_at - s.accepted_at)::double precision
        from pulse.signups s join pulse.organizations o using (org_id)
        where s.signup_id = any($1)
        """;

    const string ProvisionedSql = "select signup_id from pulse.signups where signup_id = any($1) and status = 'provisioned'";

    public static async Task<IEnumerable<Value>> MeasureAsync(NpgsqlDataSource dataSource, SignupClient client, int perSecond, TimeSpan length)
    {
        var pending = new ConcurrentDictionary<Guid, long>();
        var all = new ConcurrentBag<Guid>();
        var observed = new Latencies();
        using var done = new CancellationTokenSource();
        var watching = WatchAsync(dataSource, pending, observed, done.Token);

        await Load.OpenAsync(perSecond, length, async () =>
        {
            var at = Stopwatch.GetTimestamp();
            var signup = await client.SignUpAsync();
            all.Add(signup);
            pending[signup] = at;
        });

        using var patience = new CancellationTokenSource(TimeSpan.FromMinutes(2));
        while (!pending.IsEmpty)
            await Task.Delay(10, patience.Token);
        await done.CancelAsync();
        await watching;

        var own = new Latencies();
        await using var command = dataSource.CreateCommand(OwnClockSql);
        command.Parameters.Add(new NpgsqlParameter<Guid[]> { TypedValue = [.. all] });
        await using var row = await command.ExecuteReaderAsync();
        while (await row.ReadAsync())
            own.Add(TimeSpan.FromSeconds(row.GetDouble(0)));
        if (own.Count != all.Count)
            throw new BenchmarkException($"{all.Count} signups became {own.Count} tenants.");

        return
        [
            .. own.Percentiles("accepted to provisioned, by the processes' clock"),
            .. observed.Percentiles("request sent to tenant seen, looked for every 5 ms"),
        ];
    }

    static async Task WatchAsync(NpgsqlDataSource dataSource, ConcurrentDictionary<Guid, long> pending, Latencies observed, CancellationToken done)
    {
        while (!done.IsCancellationRequested)
        {
            if (!pending.IsEmpty)
            {
                await using var command = dataSource.CreateCommand(ProvisionedSql);
                command.Parameters.Add(new NpgsqlParameter<Guid[]> { TypedValue = [.. pending.Keys] });
                await using var row = await command.ExecuteReaderAsync(CancellationToken.None);
                while (await row.ReadAsync(CancellationToken.None))
                {
                    if (pending.TryRemove(row.GetGuid(0), out var at))
                        observed.Add(Stopwatch.GetElapsedTime(at));
                }
            }

            await Task.Delay(5, CancellationToken.None);
        }
    }
}
