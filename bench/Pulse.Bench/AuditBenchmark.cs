using System.Diagnostics;
using Npgsql;

namespace Pulse.Bench;

/// <summary>The real command over a long audit log, its start included; against reading as many rows and doing nothing with them.</summary>
static class AuditBenchmark
{
    const int Entries = 1_000_000;

    public static async Task<Outcome> RunAsync(Bench bench)
    {
        await bench.Servers.StartProcessesAsync();
        await using var dataSource = bench.Servers.OpenPulse();
        bench.Say($"appending {Entries} entries");
        // In pieces: nobody else can append meanwhile.
        while (await dataSource.AskAsync<long>(CountSql) is var count && count < Entries)
            await dataSource.RunAsync(AppendSql, (int)Math.Min(50_000, Entries - count));
        await dataSource.RunAsync("vacuum analyze pulse.audit_log");
        await bench.Servers.Admin.RunAsync("checkpoint");

        var verify = new Side($"./pulse audit verify over {Entries} entries");
        var read = new Side("the same rows in their order by COPY, as bytes that nobody looks at");
        await bench.AlternateAsync(
            () => VerifyAsync(bench),
            (verify, () => VerifyAsync(bench)),
            (read, () => ReadAsync(dataSource)));
        return new Outcome { Measured = verify, Bound = read, Ratio = new Ratio("entries per second", "rows per second") };
    }

    const string CountSql = "select coalesce(max(seq), 0) from pulse.audit_log";

    // What a suspension leaves behind. The function keeps the plan that was good for the few entries of its first call, until statistics
    // come, and here none do: by the index, also for a few.
    const string AppendSql = """
        with setting as materialized (select set_config('enable_seqscan', 'off', true))
        select count(pulse.append_audit(now(), 'key:0123456789abcdef', 'org.suspended', gen_random_uuid(), '{"status": "active"}'::jsonb,
            jsonb_build_object('status', 'suspended', 'suspended_at', now(), 'suspend_reason', 'reason ' || i), 'operation:' || gen_random_uuid()))
        from setting, generate_series(1, $1) i
        """;

    static async Task<IEnumerable<Value>> VerifyAsync(Bench bench)
    {
        var at = Stopwatch.GetTimestamp();
        var said = await bench.Servers.RunScriptAsync("audit", "verify");
        var elapsed = Stopwatch.GetElapsedTime(at).TotalSeconds;
        if (!said.Contains("Everything is as it was written.", StringComparison.Ordinal) || !said.StartsWith($"{Entries} entries", StringComparison.Ordinal))
            throw new BenchmarkException($"It did not verify all:{Environment.NewLine}{said}");
        return [new Value("until it is verified", "s", elapsed), new Value("entries per second", "1/s", Entries / elapsed)];
    }

    const string ReadSql = "copy (select * from pulse.audit_log order by seq) to stdout (format binary)";

    static async Task<IEnumerable<Value>> ReadAsync(NpgsqlDataSource dataSource)
    {
        var at = Stopwatch.GetTimestamp();
        await using var connection = await dataSource.OpenConnectionAsync();
        await using (var copy = await connection.BeginRawBinaryCopyAsync(ReadSql))
        {
            var buffer = new byte[64 * 1024];
            while (await copy.ReadAsync(buffer, CancellationToken.None) > 0)
            {
                // Only to have come by.
            }
        }

        var elapsed = Stopwatch.GetElapsedTime(at).TotalSeconds;
        return [new Value("until it is read", "s", elapsed), new Value("rows per second", "1/s", Entries / elapsed)];
    }
}
