using Microsoft.Extensions.Logging.Abstractions;
using Npgsql;
using Pulse.EndToEnd.Processes;
using Pulse.Hosting;
using Pulse.Messaging.Outbox;
using Pulse.Messaging.Schema;

namespace Pulse.EndToEnd.Messaging;

/// <summary>A Postgres and a RabbitMQ that nobody else uses, so that they can be killed.</summary>
sealed class OwnServers
{
    readonly OwnState _state = new();
    NpgsqlDataSource? _dataSource;

    public string Postgres => _state["PULSE_POSTGRES"];
    public string PostgresIngress => _state["PULSE_POSTGRES_INGRESS"];
    public Uri Broker => new(_state["PULSE_RABBITMQ"]);
    public int BrokerPid => _state.Pid("rabbitmq");

    public async Task StartAsync()
    {
        await _state.RunAsync(["servers", "up"]);
        _dataSource = NpgsqlDataSource.Create(PostgresAddress.Parse(Postgres).ConnectionString);
        await SchemaMigrator.ApplyMessagingAsync(_dataSource);
    }

    public Task KillAsync(string name) => _state.KillAsync(name);

    public Task RestartAsync(string name) => _state.RestartAsync(name);

    public async Task StopAsync()
    {
        await (_dataSource?.DisposeAsync() ?? default);
        await _state.RemoveAsync();
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
}
