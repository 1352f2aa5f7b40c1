using System.Data;
using Microsoft.Extensions.Hosting;
using Npgsql;
using NpgsqlTypes;
using Pulse.Messaging;
using Pulse.Messaging.Outbox;
using Pulse.Messaging.Schema;
using RabbitMQ.Client;
using RabbitMQ.Client.Events;

namespace Pulse.Bench;

/// <summary>
/// One relay: how fast it empties an outbox of 50 000 rows, from their commit to the last row's deletion; and how late timers
/// are, from the time that they are due to their arrival at a consumer.
/// </summary>
static class RelayBenchmark
{
    const int Rows = 50_000;
    const string Exchange = "Pulse.Bench:DepositStored";
    const string Queue = "stored";
    static readonly int Batch = new MessagingOptions { Broker = new Uri("amqp://none") }.RelayBatch;

    public static async Task<Outcome> RunAsync(Bench bench)
    {
        await using var dataSource = await bench.Servers.NewDatabaseAsync("bench_relay");
        await SchemaMigrator.ApplyMessagingAsync(dataSource);
        var address = await bench.Servers.NewVhostAsync("bench-relay");
        await using var broker = await Broker.ConnectAsync(address);
        await broker.BindAsync(Exchange, Queue);
        using var host = await BusHost.StartPulseAsync(dataSource, address, _ => { }, _ => { });

        var relay = new Side($"{Rows} waiting rows, one relay");
        var alone = new Side($"the broker alone: the same messages by RabbitMQ.Client with confirms, batches of {Batch}");
        var old = new Side($"{Rows} waiting rows, while somebody's old transaction keeps Postgres from forgetting the deleted ones");
        var many = new Side("10 000 timers due within one second");
        var some = new Side("1 000 timers due within one second");
        var runs = new Runs(bench, dataSource, broker);
        await bench.AlternateAsync(
            async () =>
            {
                await runs.DrainAsync(Rows / 2);
                await runs.PublishAsync(Rows / 2);
                await runs.TimersAsync(1_000);
            },
            (relay, () => runs.DrainAsync(Rows)),
            (alone, () => runs.PublishAsync(Rows)),
            (old, () => runs.DrainBesideOldTransactionAsync(Rows)),
            (many, () => runs.TimersAsync(10_000)),
            (some, () => runs.TimersAsync(1_000)));
        if (bench.Options.Statements)
            await Statements.PrintAsync(bench, () => runs.DrainAsync(Rows));
        await host.StopAsync();

        return new Outcome
        {
            Measured = relay,
            Variants = [old, many, some],
            Bound = alone,
            Ratio = new Ratio("messages per second", "messages per second"),
            CpuRatio = new Ratio(Measurement.CpuOfAll("messages"), Measurement.CpuOfAll("messages")),
        };
    }

    sealed class Runs(Bench bench, NpgsqlDataSource dataSource, Broker broker)
    {
        readonly Measurement _measurement = Measurement.InProcess(bench.Servers);

        public async Task<IEnumerable<Value>> DrainBesideOldTransactionAsync(int count)
        {
            await CleanAsync();
            await using var connection = await dataSource.OpenConnectionAsync();
            await using var transaction = await connection.BeginTransactionAsync(IsolationLevel.RepeatableRead);
            await using (var look = new NpgsqlCommand("select count(*) from messaging.migrations", connection))
                await look.ExecuteNonQueryAsync();
            return await DrainCleanAsync(count);
        }

        public async Task<IEnumerable<Value>> DrainAsync(int count)
        {
            await CleanAsync();
            return await DrainCleanAsync(count);
        }

        async Task<IEnumerable<Value>> DrainCleanAsync(int count)
        {
            var messages = Messages(count);
            await using var connection = await dataSource.OpenConnectionAsync();
            await using var transaction = await connection.BeginTransactionAsync();
            // Rows of another process: a relay may take them at once.
            await InsertAsync(connection, messages.Select(message => (message, DueAt: DateTime.UtcNow, RelayAt: DateTime.MinValue)));
            var before = await dataSource.NextTransactionAsync();
            await dataSource.RunAsync("notify " + OutboxBell.Channel);
            var from = _measurement.Read();
            await transaction.CommitAsync();
            await dataSource.RunAsync("notify " + OutboxBell.Channel);

            await UntilQueuedAsync(count);
            await dataSource.UntilAsync("select count(*) from messaging.outbox", left => left == 0, TimeSpan.FromMilliseconds(5), TimeSpan.FromMinutes(1));
            var to = _measurement.Read();
            var transactions = await dataSource.NextTransactionAsync() - before;
            await VerifyAsync(count);
            return
            [
                .. _measurement.Cost(from, to, count, "messages"),
                new Value("commits per 1 000 messages", "", transactions * 1000.0 / count),
                .. Measurement.OwnCost(from, to, count, "message"),
            ];
        }

        public async Task<IEnumerable<Value>> PublishAsync(int count)
        {
            await CleanAsync();
            var messages = Messages(count);
            var from = _measurement.Read();
            await broker.PublishAsync(Exchange, "", messages, Batch);
            var to = _measurement.Read();
            await VerifyAsync(count);
            return [.. _measurement.Cost(from, to, count, "messages"), .. Measurement.OwnCost(from, to, count, "message")];
        }

        public async Task<IEnumerable<Value>> TimersAsync(int count)
        {
            await CleanAsync();
            var messages = Messages(count);
            // Long enough from now that they are all stored before the first is due.
            var start = DateTime.UtcNow + TimeSpan.FromSeconds(3);
            var timers = messages.Select((message, i) => (Message: message, DueAt: start + TimeSpan.FromSeconds((double)i / count), RelayAt: start + TimeSpan.FromSeconds((double)i / count))).ToArray();
            var due = timers.ToDictionary(timer => timer.Message.Id.ToString(), timer => timer.DueAt);
            // Timers are not set in the order in which they are due.
            new Random(1).Shuffle(timers);

            var lateness = new Latencies();
            await using var channel = await broker.Connection.CreateChannelAsync();
            var consumer = new AsyncEventingBasicConsumer(channel);
            consumer.ReceivedAsync += (_, delivery) =>
            {
                lateness.Add(DateTime.UtcNow - due[delivery.BasicProperties.MessageId!]);
                return Task.CompletedTask;
            };
            await channel.BasicConsumeAsync(Queue, autoAck: true, consumer);
            await using (var connection = await dataSource.OpenConnectionAsync())
                await InsertAsync(connection, timers);
            if (DateTime.UtcNow > start)
                throw new BenchmarkException("The timers were stored too late.");

            using var patience = new CancellationTokenSource(TimeSpan.FromMinutes(1));
            while (lateness.Count < count)
                await Task.Delay(20, patience.Token);
            return lateness.Percentiles("lateness");
        }

        static Envelope[] Messages(int count) =>
            [.. Enumerable.Range(0, count).Select(i => Envelope.Of(new DepositStored { Account = Guid.CreateVersion7(), Amount = i, At = DateTimeOffset.UtcNow }))];

        const string InsertSql = """
            copy messaging.outbox (id, message_id, exchange, routing_key, content_type, body, due_at, relay_at) from stdin (format binary)
            """;

        static async Task InsertAsync(NpgsqlConnection connection, IEnumerable<(Envelope Message, DateTime DueAt, DateTime RelayAt)> rows)
        {
            await using var copy = await connection.BeginBinaryImportAsync(InsertSql);
            foreach (var (message, dueAt, relayAt) in rows)
            {
                await copy.StartRowAsync();
                await copy.WriteAsync(message.Id, NpgsqlDbType.Uuid);
                await copy.WriteAsync(message.Id, NpgsqlDbType.Uuid);
                await copy.WriteAsync(Exchange, NpgsqlDbType.Text);
                await copy.WriteAsync("", NpgsqlDbType.Text);
                await copy.WriteAsync(Broker.ContentType, NpgsqlDbType.Text);
                await copy.WriteAsync(message.Body, NpgsqlDbType.Bytea);
                await copy.WriteAsync(dueAt, NpgsqlDbType.TimestampTz);
                await copy.WriteAsync(relayAt, NpgsqlDbType.TimestampTz);
            }

            await copy.CompleteAsync();
        }

        // Asked of the queue: counting the outbox' rows while it is emptied would take time from the relay.
        async Task UntilQueuedAsync(int count)
        {
            using var patience = new CancellationTokenSource(TimeSpan.FromMinutes(2));
            while (await broker.CountAsync(Queue) < count)
                await Task.Delay(10, patience.Token);
        }

        async Task VerifyAsync(int count)
        {
            if (await broker.CountAsync(Queue) is var queued && queued != count)
                throw new BenchmarkException($"{count} rows became {queued} messages.");
        }

        async Task CleanAsync()
        {
            await dataSource.RunAsync("truncate messaging.outbox");
            await broker.PurgeAsync(Queue);
            await bench.Servers.Admin.RunAsync("checkpoint");
            GC.Collect();
        }
    }
}
