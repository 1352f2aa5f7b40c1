using System.Diagnostics;
using Npgsql;

namespace Pulse.Bench;

/// <summary>
/// Signups taken by the real ingress over HTTP, 32 connections, each beginning the next when one is answered. The worker is
/// stopped, so that it is the accepting that is measured; a variant has it running.
/// </summary>
static class AcceptBenchmark
{
    const int Connections = 32;
    const int Signups = 6_000;
    const int Inserts = 20_000;
    const int Passwords = 100;

    public static async Task<Outcome> RunAsync(Bench bench)
    {
        await bench.Servers.StartProcessesAsync();
        await using var dataSource = bench.Servers.OpenPulse();
        await dataSource.RunAsync(CreateSql);
        using var client = new SignupClient(bench.Servers.Ingress, Connections);

        var accept = new Side("POST /api/public/signup without a password, the worker stopped");
        var hashed = new Side("with a password, hashed as configured");
        var both = new Side("without a password, the worker provisioning meanwhile");
        var insert = new Side("one row of the same size by Npgsql alone, 32 connections");
        var runs = new Runs(bench, dataSource, client);

        await PulseDatabase.QuietAsync(dataSource, TimeSpan.FromMinutes(2));
        await bench.Servers.StopAsync("worker");
        try
        {
            await bench.AlternateAsync(
                async () =>
                {
                    await runs.AcceptAsync(Signups, password: false);
                    await runs.InsertAsync();
                },
                (accept, () => runs.AcceptAsync(Signups, password: false)),
                (insert, runs.InsertAsync),
                (hashed, () => runs.AcceptAsync(Passwords, password: true)));
            if (bench.Options.Statements)
                await Statements.PrintAsync(bench, () => runs.AcceptAsync(Signups, password: false));
        }
        finally
        {
            await PulseDatabase.EmptyAsync(bench, dataSource);
            await bench.Servers.RestartAsync("worker");
        }

        await bench.AlternateAsync(() => runs.BesideWorkerAsync(), (both, runs.BesideWorkerAsync));
        await dataSource.RunAsync("drop schema bench cascade");
        return new Outcome
        {
            Measured = accept,
            Variants = [both, hashed],
            Bound = insert,
            Ratio = new Ratio("signups per second", "inserts per second"),
        };
    }

    const string CreateSql = """
        drop schema if exists bench cascade;
        create schema bench;
        create table bench.signups (signup_id uuid not null primary key, email text not null, org_name text not null, status text not null, accepted_at timestamptz not null)
        """;

    const string InsertSql = "insert into bench.signups (signup_id, email, org_name, status, accepted_at) values ($1, $2, $3, $4, $5)";

    sealed class Runs(Bench bench, NpgsqlDataSource dataSource, SignupClient client)
    {
        public async Task<IEnumerable<Value>> AcceptAsync(int count, bool password)
        {
            await PulseDatabase.EmptyAsync(bench, dataSource);
            return await MeasureAsync(count, password);
        }

        public async Task<IEnumerable<Value>> BesideWorkerAsync()
        {
            await PulseDatabase.EmptyAsync(bench, dataSource);
            var values = await MeasureAsync(Signups, password: false);
            await PulseDatabase.QuietAsync(dataSource, TimeSpan.FromMinutes(5));
            return values;
        }

        async Task<IEnumerable<Value>> MeasureAsync(int count, bool password)
        {
            // Emptied tables make every connection plan its statements anew, as nothing does in production.
            await Load.ClosedAsync(Connections, 500, () => client.SignUpAsync());
            var measurement = Measurement.Of(bench.Servers, "ingress");
            var transaction = await dataSource.NextTransactionAsync();
            var from = measurement.Read();
            var latencies = await Load.ClosedAsync(Connections, count, () => client.SignUpAsync(password));
            var to = measurement.Read();
            var transactions = await dataSource.NextTransactionAsync() - transaction;
            return
            [
                .. measurement.Cost(from, to, count, "signups"),
                new Value("commits per signup, of all processes", "", (double)transactions / count),
                .. latencies.Percentiles("answered after"),
            ];
        }

        public async Task<IEnumerable<Value>> InsertAsync()
        {
            await dataSource.RunAsync("truncate bench.signups");
            await bench.Servers.Admin.RunAsync("checkpoint");
            var person = 0;
            var at = Stopwatch.GetTimestamp();
            var latencies = await Load.ClosedAsync(Connections, Inserts, async () =>
            {
                var number = Interlocked.Increment(ref person);
                await using var command = dataSource.CreateCommand(InsertSql);
                command.Parameters.Add(new NpgsqlParameter<Guid> { TypedValue = Guid.CreateVersion7() });
                command.Parameters.Add(new NpgsqlParameter<string> { TypedValue = $"owner-{number}-{Environment.ProcessId}@bench.example" });
                command.Parameters.Add(new NpgsqlParameter<string> { TypedValue = $"Organization {number}" });
                command.Parameters.Add(new NpgsqlParameter<string> { TypedValue = "accepted" });
                command.Parameters.Add(new NpgsqlParameter<DateTime> { TypedValue = DateTime.UtcNow });
                await command.ExecuteNonQueryAsync();
            });
            var elapsed = Stopwatch.GetElapsedTime(at);
            return [new Value("inserts per second", "1/s", Inserts / elapsed.TotalSeconds), .. latencies.Percentiles("done after")];
        }
    }
}
