using MassTransit;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Npgsql;
using Pulse.Messaging.Schema;

namespace Pulse.Bench;

/// <summary>
/// One event, one upsert, one published event. The events wait in the queue before the consumer is attached; it is measured from
/// the first that begins to the last that is committed, with the outbox empty and everything that was published in its queue.
/// </summary>
static class MessagingBenchmark
{
    const string Stored = "Pulse.Bench:DepositStored";
    const string StoredQueue = "stored";

    public static async Task<Outcome> RunAsync(Bench bench)
    {
        await using var dataSource = await bench.Servers.NewDatabaseAsync("bench_messaging");
        await SchemaMigrator.ApplyMessagingAsync(dataSource);
        await dataSource.RunAsync(DepositTable.Create);

        var pulse = new Side("inbox, outbox and the upsert in one transaction");
        var deferred = new Side("the same with the upsert deferred to the commit's round trip");
        var group = new Side("the same with 256 messages at a time: group commit");
        var plain = new Side("plain MassTransit consumer, one Npgsql transaction, direct publish; no inbox, no outbox");
        var wide = new Side("the bound's consumer with 256 messages at a time, on 80 connections");
        var address = await bench.Servers.NewVhostAsync("bench-messaging");
        await using var broker = await Broker.ConnectAsync(address);
        var runs = new Runs(bench, dataSource, address, broker);
        await runs.DeclareAsync();
        await bench.AlternateAsync(
            async () =>
            {
                // Code is compiled again when it turns out to be hot, which takes some thousand messages.
                await runs.PulseAsync<ExactlyOnceConsumer>(8_000);
                await runs.PlainAsync(8_000);
                await runs.PulseAsync<DeferringConsumer>(4_000);
                await runs.GroupAsync<DeferringConsumer>(4_000);
            },
            (pulse, () => runs.PulseAsync<ExactlyOnceConsumer>(bench.Options.Messages)),
            (plain, () => runs.PlainAsync(bench.Options.Messages)),
            (deferred, () => runs.PulseAsync<DeferringConsumer>(bench.Options.Messages)),
            (group, () => runs.GroupAsync<DeferringConsumer>(bench.Options.Messages)),
            (wide, () => runs.WidePlainAsync(bench.Options.Messages)));
        if (bench.Options.Statements)
            await Statements.PrintAsync(bench, () => runs.PulseAsync<ExactlyOnceConsumer>(bench.Options.Messages));

        return new Outcome
        {
            Measured = pulse,
            Variants = [deferred, group, wide],
            Bound = plain,
            Ratio = new Ratio("messages per second", "messages per second"),
            CpuRatio = new Ratio(Measurement.CpuOfAll("messages"), Measurement.CpuOfAll("messages")),
        };
    }

    sealed class Runs(Bench bench, NpgsqlDataSource dataSource, Uri address, Broker broker)
    {
        /// <summary>A host declares what it consumes from; started without a message, it leaves the queue behind.</summary>
        public async Task DeclareAsync()
        {
            await broker.BindAsync(Stored, StoredQueue);
            using var host = await StartAsync<ExactlyOnceConsumer>(new Progress(1, () => { }), BusHost.StartPulseAsync);
            await host.StopAsync();
        }

        public Task<IEnumerable<Value>> PulseAsync<TConsumer>(int count)
            where TConsumer : class, IConsumer => RunAsync<TConsumer>(count, BusHost.StartPulseAsync);

        public Task<IEnumerable<Value>> GroupAsync<TConsumer>(int count)
            where TConsumer : class, IConsumer => RunAsync<TConsumer>(count, BusHost.StartGroupAsync);

        public Task<IEnumerable<Value>> WidePlainAsync(int count) => RunAsync<PlainConsumer>(count, BusHost.StartWidePlainAsync);

        public Task<IEnumerable<Value>> PlainAsync(int count) => RunAsync<PlainConsumer>(count, BusHost.StartPlainAsync);

        delegate Task<IHost> Start(NpgsqlDataSource dataSource, Uri broker, Action<IServiceCollection> services, Action<IBusRegistrationConfigurator> register);

        Task<IHost> StartAsync<TConsumer>(Progress progress, Start start)
            where TConsumer : class, IConsumer =>
            start(dataSource, address, services => services.AddSingleton(progress),
                bus => bus.AddConsumer<TConsumer>().Endpoint(endpoint => endpoint.Name = BusHost.Queue));

        async Task<IEnumerable<Value>> RunAsync<TConsumer>(int count, Start start)
            where TConsumer : class, IConsumer
        {
            await CleanAsync();
            await FillAsync(count);

            var measurement = Measurement.InProcess(bench.Servers);
            Reading from = default;
            var progress = new Progress(count, () => from = measurement.Read());
            var transaction = await dataSource.NextTransactionAsync();
            using var host = await StartAsync<TConsumer>(progress, start);
            await progress.Done.WaitAsync(TimeSpan.FromMinutes(5));
            await dataSource.UntilAsync("select count(*) from messaging.outbox", left => left == 0, TimeSpan.FromMilliseconds(5), TimeSpan.FromMinutes(2));
            var to = measurement.Read();
            var transactions = await dataSource.NextTransactionAsync() - transaction;
            await host.StopAsync();
            await VerifyAsync(count);

            return
            [
                .. measurement.Cost(from, to, count, "messages"),
                new Value("commits per message", "", (double)transactions / count),
                .. Measurement.OwnCost(from, to, count, "message"),
            ];
        }

        async Task CleanAsync()
        {
            await dataSource.RunAsync("truncate messaging.inbox, messaging.outbox, bench.accounts");
            await broker.PurgeAsync(StoredQueue);
            await broker.PurgeAsync(BusHost.Queue);
            await bench.Servers.Admin.RunAsync("checkpoint");
            GC.Collect();
        }

        // Each account gets two deposits, so half of the upserts insert and half of them update.
        async Task FillAsync(int count)
        {
            var accounts = Enumerable.Range(0, (count + 1) / 2).Select(_ => Guid.CreateVersion7()).ToArray();
            var deposits = Enumerable.Range(0, count)
                .Select(i => Envelope.Of(new Deposited { Account = accounts[i % accounts.Length], Amount = 1, At = DateTimeOffset.UtcNow }))
                .ToArray();
            await broker.PublishAsync("", BusHost.Queue, deposits, batch: 500);
        }

        async Task VerifyAsync(int count)
        {
            var balance = await dataSource.AskAsync<long>("select coalesce(sum(balance), 0)::bigint from bench.accounts");
            var published = await broker.CountAsync(StoredQueue);
            if (balance != count || published != count)
                throw new BenchmarkException($"{count} messages made {balance} deposits and {published} events.");
        }
    }
}
