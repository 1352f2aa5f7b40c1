using System.Diagnostics;
using Npgsql;

namespace Pulse.Bench;

/// <summary>
/// Stripe's events taken by the real ingress over HTTP, 16 connections, each beginning the next when one is answered. The worker is
/// stopped, so that it is the accepting that is measured.
/// </summary>
static class WebhooksBenchmark
{
    const int Connections = 16;
    const int Events = 20_000;
    const int Bytes = 4_600;

    public static async Task<Outcome> RunAsync(Bench bench)
    {
        await bench.Servers.StartProcessesAsync();
        await using var dataSource = bench.Servers.OpenPulse();
        await dataSource.RunAsync(CreateSql);
        using var client = new WebhookClient(bench.Servers.Ingress, bench.Servers.WebhookSecret, Connections);

        var accept = new Side($"POST /api/webhooks/stripe, {Bytes} bytes, {Connections} connections, the worker stopped");
        var repeat = new Side("the same events again, not completed: each is dispatched again");
        var insert = new Side($"one bare insert of the size by Npgsql alone, {Connections} connections");
        var runs = new Runs(bench, dataSource, client);

        await PulseDatabase.QuietAsync(dataSource, TimeSpan.FromMinutes(2));
        await bench.Servers.StopAsync("worker");
        try
        {
            await bench.AlternateAsync(
                async () =>
                {
                    await runs.AcceptAsync();
                    await runs.InsertAsync();
                },
                (accept, runs.AcceptAsync),
                (repeat, runs.RepeatAsync),
                (insert, runs.InsertAsync));
            if (bench.Options.Statements)
                await Statements.PrintAsync(bench, runs.AcceptAsync);
        }
        finally
        {
            await runs.EmptyAsync();
            await bench.Servers.RestartAsync("worker");
        }

        await dataSource.RunAsync("drop schema bench cascade");
        return new Outcome
        {
            Measured = accept,
            Variants = [repeat],
            Bound = insert,
            Ratio = new Ratio("events per second", "inserts per second"),
        };
    }

    const string CreateSql = """
        drop schema if exists bench cascade;
        create schema bench;
        create table bench.events (event_id text not null primary key, body bytea not null, received_at timestamptz not null)
        """;

    const string InsertSql = "insert into bench.events (event_id, body, received_at) values ($1, $2, $3) on conflict (event_id) do nothing";

    sealed class Runs(Bench bench, NpgsqlDataSource dataSource, WebhookClient client)
    {
        WebhookEvent[] _last = [];

        public async Task EmptyAsync()
        {
            await dataSource.RunAsync("truncate pulse.stripe_events, messaging.outbox");
            await bench.Servers.Admin.RunAsync("checkpoint");
        }

        public async Task<IEnumerable<Value>> AcceptAsync()
        {
            await EmptyAsync();
            // Emptied tables make every connection plan its statements anew, as nothing does in production.
            await SendAsync(client.Make(500, Bytes), "accepted");
            _last = client.Make(Events, Bytes);
            var values = await MeasureAsync("accepted");
            var stored = await dataSource.AskAsync<long>("select count(*) from pulse.stripe_events");
            var messages = await dataSource.AskAsync<long>("select count(*) from messaging.outbox");
            if ((stored, messages) != (500 + Events, 500 + Events))
                throw new BenchmarkException($"{500 + Events} events became {stored} rows and {messages} messages.");
            return values;
        }

        /// <summary>What the run before has sent.</summary>
        public Task<IEnumerable<Value>> RepeatAsync() => MeasureAsync("duplicate");

        async Task<IEnumerable<Value>> MeasureAsync(string status)
        {
            var measurement = Measurement.Of(bench.Servers, "ingress");
            var transaction = await dataSource.NextTransactionAsync();
            var from = measurement.Read();
            var latencies = await SendAsync(_last, status);
            var to = measurement.Read();
            var transactions = await dataSource.NextTransactionAsync() - transaction;
            return
            [
                .. measurement.Cost(from, to, _last.Length, "events"),
                new Value("commits per event", "", (double)transactions / _last.Length),
                .. latencies.Percentiles("answered after"),
            ];
        }

        async Task<Latencies> SendAsync(WebhookEvent[] events, string status)
        {
            var next = -1;
            return await Load.ClosedAsync(Connections, events.Length, () => client.SendAsync(events[Interlocked.Increment(ref next)], status));
        }

        public async Task<IEnumerable<Value>> InsertAsync()
        {
            await dataSource.RunAsync("truncate bench.events");
            await bench.Servers.Admin.RunAsync("checkpoint");
            var events = client.Make(Events, Bytes);
            var next = -1;
            var at = Stopwatch.GetTimestamp();
            var latencies = await Load.ClosedAsync(Connections, Events, async () =>
            {
                var one = events[Interlocked.Increment(ref next)];
                await using var command = dataSource.CreateCommand(InsertSql);
                command.Parameters.Add(new NpgsqlParameter<string> { TypedValue = one.Id });
                command.Parameters.Add(new NpgsqlParameter<byte[]> { TypedValue = one.Body });
                command.Parameters.Add(new NpgsqlParameter<DateTime> { TypedValue = DateTime.UtcNow });
                await command.ExecuteNonQueryAsync();
            });
            return [new Value("inserts per second", "1/s", Events / Stopwatch.GetElapsedTime(at).TotalSeconds), .. latencies.Percentiles("done after")];
        }
    }
}
