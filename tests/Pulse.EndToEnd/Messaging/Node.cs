using MassTransit;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Npgsql;
using Pulse.Hosting;
using Pulse.Messaging;
using Pulse.Testing;

namespace Pulse.EndToEnd.Messaging;

/// <summary>One process with a bus, in this test process; it can be made to die.</summary>
sealed class Node : IAsyncDisposable
{
    readonly IHost _host;
    readonly string _name;
    bool _dead;

    Node(IHost host, string name)
    {
        _host = host;
        _name = name;
    }

    public Script Script => _host.Services.GetRequiredService<Script>();

    public T Get<T>()
        where T : notnull => _host.Services.GetRequiredService<T>();

    public static void Deposits(IBusRegistrationConfigurator bus)
    {
        bus.AddConsumer<DepositConsumer>().Endpoint(endpoint => endpoint.Name = "deposits");
        bus.AddConsumer<DepositStoredConsumer>().Endpoint(endpoint => endpoint.Name = "follow-ups");
    }

    public static void DeferredDeposits(IBusRegistrationConfigurator bus)
    {
        bus.AddConsumer<DeferringConsumer>().Endpoint(endpoint => endpoint.Name = "deposits");
        bus.AddConsumer<DepositStoredConsumer>().Endpoint(endpoint => endpoint.Name = "follow-ups");
    }

    public static void QuietDeposits(IBusRegistrationConfigurator bus) =>
        bus.AddConsumer<QuietConsumer>().Endpoint(endpoint => endpoint.Name = "deposits");

    public static async Task<Node> StartAsync(
        string postgres, Uri broker, Action<IBusRegistrationConfigurator> register, Func<string, Task>? atPoint, Mutant? mutant = null, TimeProvider? clock = null)
    {
        var address = PostgresAddress.Parse(postgres);
        address.ApplicationName = $"node-{Guid.NewGuid():N}";
        address.MaxPoolSize = 20;

        var builder = Host.CreateEmptyApplicationBuilder(new HostApplicationBuilderSettings());
        builder.Logging.SetMinimumLevel(LogLevel.Warning);
        if (Environment.GetEnvironmentVariable("PULSE_TEST_LOG") is not null)
            builder.Logging.AddSimpleConsole(console => console.TimestampFormat = "HH:mm:ss.fff ");
        builder.Services.AddSingleton(clock ?? TimeProvider.System);
        builder.Services.AddSingleton<Script>();
        builder.Services.AddSingleton(_ => NpgsqlDataSource.Create(address.ConnectionString));
        builder.Services.AddPulseMessaging(
            new MessagingOptions
            {
                Broker = broker,
                DirectPublishGrace = TimeSpan.FromSeconds(1),
                RelayPoll = TimeSpan.FromMilliseconds(100),
                Retries = [TimeSpan.FromMilliseconds(20)],
                Redeliveries = [TimeSpan.FromMilliseconds(300), TimeSpan.FromMilliseconds(300)],
                AtPoint = atPoint,
                Mutant = mutant ?? Mutant.None,
            },
            register);

        var node = new Node(builder.Build(), address.ApplicationName);
        await node._host.StartAsync();
        var bus = node.Get<IBusControl>();
        await Eventually.Until(() => bus.CheckHealth().Status == BusHealthStatus.Healthy, TimeSpan.FromSeconds(30), "the bus connected");
        return node;
    }

    /// <summary>
    /// Dies as a killed process does: all its connections are cut from the servers' side, at once. Tasks that wait at a point of
    /// <see cref="StopAt"/> never go on.
    /// </summary>
    public async Task DieAsync(Bed bed)
    {
        _dead = true;
        await Eventually.Until(async () => await bed.Broker.CutConnectionsAsync() > 0, TimeSpan.FromSeconds(20), "the broker knew the connections");
        // The bus would connect again, as no dead process does.
        _ = _host.StopAsync();
        await bed.Postgres.AskAsync<long>(
            "select count(pg_terminate_backend(pid)) from pg_stat_activity where application_name = $1", _name);
    }

    public async ValueTask DisposeAsync()
    {
        // What waits at a point for ever would keep a clean stop waiting as well.
        using var patience = new CancellationTokenSource(_dead ? TimeSpan.FromMilliseconds(100) : TimeSpan.FromSeconds(10));
        try
        {
            await _host.StopAsync(patience.Token);
        }
        catch (Exception) when (_dead)
        {
        }
    }
}

/// <summary>A point that lets nobody pass.</summary>
sealed class StopAt(string point)
{
    readonly TaskCompletionSource _reached = new(TaskCreationOptions.RunContinuationsAsynchronously);
    readonly TaskCompletionSource _go = new(TaskCreationOptions.RunContinuationsAsynchronously);

    public Task PassAsync(string reached)
    {
        if (reached != point)
            return Task.CompletedTask;

        _reached.TrySetResult();
        return _go.Task;
    }

    public Task ReachedAsync() => _reached.Task.WaitAsync(TimeSpan.FromSeconds(30));

    public void LetGo() => _go.TrySetResult();
}
