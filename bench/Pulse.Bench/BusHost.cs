using MassTransit;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Npgsql;
using Pulse.Messaging;

namespace Pulse.Bench;

/// <summary>A process with a bus, inside of this one: Pulse's, or the plain one that it is compared with.</summary>
static class BusHost
{
    public const string Queue = "deposits";

    public static Task<IHost> StartPulseAsync(
        NpgsqlDataSource dataSource, Uri broker, Action<IServiceCollection> services, Action<IBusRegistrationConfigurator> register) =>
        StartAsync(dataSource, collection =>
        {
            services(collection);
            collection.AddPulseMessaging(new MessagingOptions { Broker = broker }, register);
        });

    /// <summary>An endpoint whose consumers only defer holds no connection while they run: more of them make larger groups.</summary>
    public static Task<IHost> StartGroupAsync(
        NpgsqlDataSource dataSource, Uri broker, Action<IServiceCollection> services, Action<IBusRegistrationConfigurator> register) =>
        StartAsync(dataSource, collection =>
        {
            services(collection);
            collection.AddPulseMessaging(Wide(broker), register);
        });

    /// <summary>The same queue, prefetch and concurrency, publisher confirms; no inbox, no outbox, no retries.</summary>
    public static Task<IHost> StartPlainAsync(
        NpgsqlDataSource dataSource, Uri broker, Action<IServiceCollection> services, Action<IBusRegistrationConfigurator> register) =>
        StartPlainAsync(dataSource, new MessagingOptions { Broker = broker }, services, register);

    /// <summary>The same with as many messages at a time as the group gets, so that it is not that which is compared.</summary>
    public static Task<IHost> StartWidePlainAsync(
        NpgsqlDataSource dataSource, Uri broker, Action<IServiceCollection> services, Action<IBusRegistrationConfigurator> register) =>
        StartPlainAsync(dataSource, Wide(broker), services, register);

    static MessagingOptions Wide(Uri broker) => new() { Broker = broker, Concurrency = 256, Prefetch = 512 };

    static Task<IHost> StartPlainAsync(
        NpgsqlDataSource dataSource, MessagingOptions options, Action<IServiceCollection> services, Action<IBusRegistrationConfigurator> register) =>
        StartAsync(dataSource, collection =>
        {
            services(collection);
            collection.AddMassTransit(bus =>
            {
                bus.DisableUsageTelemetry();
                bus.AddConfigureEndpointsCallback((_, name, endpoint) => Configure(name, endpoint, options));
                register(bus);
                bus.UsingRabbitMq((context, rabbit) =>
                {
                    rabbit.Host(options.Broker, host => host.PublisherConfirmation = true);
                    rabbit.ConfigureEndpoints(context);
                });
            });
        });

    static void Configure(string name, IReceiveEndpointConfigurator endpoint, MessagingOptions options)
    {
        endpoint.PrefetchCount = options.Prefetch;
        endpoint.ConcurrentMessageLimit = options.Concurrency;
        endpoint.PublishFaults = false;
        if (endpoint is not IRabbitMqReceiveEndpointConfigurator rabbit)
            return;

        rabbit.SetQuorumQueue();
        rabbit.SetQueueArgument("x-delivery-limit", options.DeliveryLimit);
        rabbit.SetQueueArgument("x-dead-letter-exchange", "");
        rabbit.SetQueueArgument("x-dead-letter-routing-key", $"{name}_error");
        rabbit.SetQueueArgument("x-dead-letter-strategy", "at-least-once");
        rabbit.SetQueueArgument("x-overflow", "reject-publish");
    }

    static async Task<IHost> StartAsync(NpgsqlDataSource dataSource, Action<IServiceCollection> services)
    {
        var builder = Host.CreateEmptyApplicationBuilder(new HostApplicationBuilderSettings());
        builder.Logging.SetMinimumLevel(LogLevel.Warning);
        builder.Logging.AddConsole(console => console.LogToStandardErrorThreshold = LogLevel.Trace);
        builder.Services.AddSingleton(TimeProvider.System);
        builder.Services.AddSingleton(dataSource);
        services(builder.Services);

        var host = builder.Build();
        await host.StartAsync();
        var bus = host.Services.GetRequiredService<IBusControl>();
        using var patience = new CancellationTokenSource(TimeSpan.FromSeconds(30));
        while (bus.CheckHealth().Status != BusHealthStatus.Healthy)
            await Task.Delay(20, patience.Token);
        return host;
    }
}
