using System.Diagnostics;
using Microsoft.Extensions.Logging.Abstractions;
using Npgsql;
using Pulse.Hosting;
using Pulse.Messaging.Outbox;
using Pulse.Messaging.Schema;
using Pulse.Testing;

namespace Pulse.EndToEnd.Messaging;

/// <summary>A Postgres and a RabbitMQ that nobody else uses, so that they can be killed.</summary>
sealed class OwnServers
{
    readonly string _state = Directory.CreateTempSubdirectory("pulse-servers-").FullName;
    Dictionary<string, string> _env = [];
    NpgsqlDataSource? _dataSource;

    public string Postgres => _env["PULSE_POSTGRES"];
    public string PostgresIngress => _env["PULSE_POSTGRES_INGRESS"];
    public Uri Broker => new(_env["PULSE_RABBITMQ"]);

    public async Task StartAsync()
    {
        await RunAsync("servers", "up");
        _env = (await File.ReadAllLinesAsync(Path.Combine(_state, "env")))
            .Select(line => line.Split('=', 2))
            .Where(parts => parts.Length == 2)
            .ToDictionary(parts => parts[0], parts => parts[1].Trim('\'', '"'));
        _dataSource = NpgsqlDataSource.Create(PostgresAddress.Parse(Postgres).ConnectionString);
        await SchemaMigrator.ApplyMessagingAsync(_dataSource);
    }

    /// <summary>As kill -9 does, and waits until it is gone.</summary>
    public void Kill(string name)
    {
        using var process = Process.GetProcessById(int.Parse(File.ReadAllText(Path.Combine(_state, "pids", name)).Trim()));
        process.Kill();
        process.WaitForExit(TimeSpan.FromSeconds(10));
    }

    public Task RestartAsync(string name) => RunAsync("restart", name);

    public async Task StopAsync()
    {
        await (_dataSource?.DisposeAsync() ?? default);
        await RunAsync("servers", "down");
        Directory.Delete(_state, recursive: true);
    }

    public async Task RunSqlAsync(string sql)
    {
        await using var command = _dataSource!.CreateCommand(sql);
        await command.ExecuteNonQueryAsync();
    }

    /// <summary>The one value of a query. A pool does not know yet that its connections died with the server: one more try.</summary>
    public async Task<T> AskAsync<T>(string sql)
    {
        while (true)
        {
            try
            {
                await using var command = _dataSource!.CreateCommand(sql);
                return (T)(await command.ExecuteScalarAsync())!;
            }
            catch (NpgsqlException exception) when (Pulse.Messaging.PostgresFailure.IsUnavailable(exception))
            {
                _dataSource!.Clear();
            }
        }
    }

    public async Task PublishAsync(Deposited[] messages)
    {
        await AskAsync<int>("select 1");
        var publisher = new OutboxPublisher(TimeProvider.System, new OutboxBell(_dataSource!, NullLogger<OutboxBell>.Instance));
        await using var batch = _dataSource!.CreateBatch();
        foreach (var message in messages)
            batch.BatchCommands.Add(publisher.Publish(message));
        await batch.ExecuteNonQueryAsync();
    }

    async Task RunAsync(params string[] arguments)
    {
        var start = new ProcessStartInfo(Path.Combine(TestServers.Root, "pulse"), arguments) { Environment = { ["PULSE_STATE"] = _state } };
        using var script = Process.Start(start)!;
        await script.WaitForExitAsync();
        Assert.True(script.ExitCode == 0, $"./pulse {string.Join(' ', arguments)} ended with {script.ExitCode}.");
    }
}
