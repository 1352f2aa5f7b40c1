using Pulse.Testing;

namespace Pulse.EndToEnd.Processes;

/// <summary>The worker brings its database up to date as it starts.</summary>
public sealed class MigrationTests : IAsyncLifetime
{
    readonly EmptyPostgres _postgres = new();
    readonly TestBroker _broker = new();

    public async Task InitializeAsync()
    {
        await _postgres.InitializeAsync();
        await _broker.InitializeAsync();
    }

    public async Task DisposeAsync()
    {
        await _broker.DisposeAsync();
        await _postgres.DisposeAsync();
    }

    [Fact]
    public async Task Two_workers_that_start_at_once_on_an_empty_database_apply_each_file_once()
    {
        await using var first = Worker();
        await using var second = Worker();
        await first.ReadyAsync();
        await second.ReadyAsync();

        Assert.Equal(Files(), (await _postgres.AskAsync<string>("select string_agg(module || ' ' || number, ',' order by module, number) from messaging.migrations")).Split(','));
        // Each says how many it applied: between them, each file once.
        Assert.Equal(Files().Length, Applied(first) + Applied(second));

        static int Applied(ChildProcess worker)
        {
            var words = worker.Output.Split('\n').Single(line => line.Contains("The database is up to date", StringComparison.Ordinal)).Split("up to date; ")[1];
            return int.Parse(words.Split(' ')[0], System.Globalization.CultureInfo.InvariantCulture);
        }
    }

    [Fact]
    public async Task A_worker_does_not_start_on_a_database_whose_history_is_another()
    {
        await _postgres.MigrateAsync();
        Assert.Equal("0001", await _postgres.AskAsync<string>("update messaging.migrations set checksum = 'another' where module = 'Pulse.Worker' and number = 1 returning '0001'"));

        await using var worker = Worker();
        Assert.NotEqual(0, await worker.EndAsync(TimeSpan.FromSeconds(60)));
        Assert.Contains("Migration 0001_signups_and_tenants of Pulse.Worker was changed after it was applied.", worker.Output, StringComparison.Ordinal);
    }

    ChildProcess Worker() => ChildProcess.Worker(("PULSE_POSTGRES", _postgres.WorkerAddress), ("PULSE_RABBITMQ", _broker.Address.ToString()));

    static string[] Files() =>
    [
        .. from module in new[] { (Name: "Pulse.Messaging", Folder: "Schema"), (Name: "Pulse.Worker", Folder: "Migrations") }
           from file in Directory.EnumerateFiles(Path.Combine(TestServers.Root, "src", module.Name, module.Folder), "*.sql").Order(StringComparer.Ordinal)
           select $"{module.Name} {int.Parse(Path.GetFileName(file)[..4], System.Globalization.CultureInfo.InvariantCulture)}",
    ];

    sealed class EmptyPostgres : TestPostgres
    {
        protected override bool Migrated => false;
    }
}
