using MassTransit;
using MassTransit.Configuration;
using MassTransit.Middleware;
using MassTransit.Serialization;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Npgsql;
using Pulse.Messaging.DeadLetters;
using Pulse.Messaging.Inbox;
using Pulse.Messaging.Outbox;
using Pulse.Messaging.Rehearsing;
using Pulse.Messaging.Scheduling;

namespace Pulse.Messaging;

/// <summary>
/// Exactly-once effects in Postgres for MassTransit on RabbitMQ: one transaction for each consumed message, with its inbox
/// row, the consumer's writes, its saga and everything it publishes.
/// </summary>
public static class PulseMessaging
{
    /// <summary>
    /// What a process needs that only publishes, and has no broker connection: <see cref="OutboxPublisher"/>. Needs an <see cref="NpgsqlDataSource"/> and a <see cref="TimeProvider"/>.
    /// </summary>
    public static IServiceCollection AddOutboxPublisher(this IServiceCollection services)
    {
        Envelope.Configure();
        services.TryAddSingleton<OutboxBell>();
        services.AddHostedService(provider => provider.GetRequiredService<OutboxBell>());
        services.TryAddSingleton<OutboxPublisher>();
        return services;
    }

    /// <summary>
    /// What a process needs that consumes: the bus, the inbox, sagas, timers, the relay. Needs an <see cref="NpgsqlDataSource"/> whose
    /// database has the schema of <see cref="Schema.SchemaMigrator.ApplyMessagingAsync"/>, and a <see cref="TimeProvider"/>.
    /// </summary>
    /// <param name="services">The process' services. Register before it what must be there before the bus.</param>
    /// <param name="options">How it consumes and publishes.</param>
    /// <param name="register">Adds the consumers and sagas, each with an endpoint name: it is the queue's name, and what the inbox knows the consumer by.</param>
    public static IServiceCollection AddPulseMessaging(
        this IServiceCollection services, MessagingOptions options, Action<IBusRegistrationConfigurator> register)
    {
        services.AddOutboxPublisher();
        services.AddSingleton(options);
        services.AddSingleton<BusReady>();
        services.AddSingleton<EndpointNames>();
        services.AddSingleton<Rehearsals>();
        services.AddSingleton(_ => new BrokerConnection([.. options.Nodes], "pulse outbox"));
        services.AddSingleton<GroupCommit>();
        services.AddSingleton<DirectPublisher>();
        services.AddHostedService(provider => provider.GetRequiredService<DirectPublisher>());
        services.AddSingleton<Relay>();
        services.AddHostedService(provider => provider.GetRequiredService<Relay>());
        services.AddSingleton<InboxPruner>();
        services.AddHostedService(provider => provider.GetRequiredService<InboxPruner>());
        services.AddScoped<IOutboxContextFactory<MessageTransaction>, MessageTransactionFactory>();

        services.AddMassTransit(bus =>
        {
            bus.DisableUsageTelemetry();
            bus.AddBusObserver(provider => provider.GetRequiredService<BusReady>());
            bus.AddConfigureEndpointsCallback((context, name, endpoint) => ConfigureEndpoint(context, name, endpoint, options));
            if (options.IsWatched)
                bus.AddReceiveObserver(_ => new CrashPoint.AfterAcknowledge(options));
            register(bus);
            bus.UsingRabbitMq((context, rabbit) =>
            {
                rabbit.Host(options.Broker, host =>
                {
                    host.OnRefreshConnectionFactory = factory =>
                    {
                        BrokerSocket.Use(factory);
                        return Task.CompletedTask;
                    };
                    if (options.OtherNodes.Count > 0)
                        host.UseCluster(cluster => BrokerConnection.Endpoints(options.Nodes).ForEach(node => cluster.Node($"{node.HostName}:{node.Port}")));
                });
                rabbit.AddPrePipeSpecification(new OutboxSchedulerSpecification(
                    context.GetRequiredService<NpgsqlDataSource>(), context.GetRequiredService<TimeProvider>(), [.. context.GetServices<Receipt>()]));
                rabbit.SendTopology.ConfigureErrorSettings = AsDeclaredHere;
                rabbit.SendTopology.ConfigureDeadLetterSettings = AsDeclaredHere;
                rabbit.ConfigureEndpoints(context);
            });
        });

        services.Configure<MassTransitHostOptions>(host =>
        {
            // A broker that is away must not keep the process from starting: it connects when the broker is there.
            host.WaitUntilStarted = false;
            host.StopTimeout = TimeSpan.FromSeconds(20);
        });
        return services;
    }

    /// <summary>
    /// Takes what lies in the endpoints' <c>_error</c> and <c>_skipped</c> queues to a store, and declares those queues at the start. Call it beside
    /// <see cref="AddPulseMessaging"/>.
    /// </summary>
    /// <param name="services">The process' services.</param>
    /// <param name="store">Finds the store.</param>
    public static IServiceCollection AddDeadLetterCollector(this IServiceCollection services, Func<IServiceProvider, StoreDeadLetters> store)
    {
        services.AddSingleton(store);
        services.AddHostedService<DeadLetterCollector>();
        return services;
    }

    // Whoever comes first declares them, MassTransit or the collector: in the same words.
    static void AsDeclaredHere(IRabbitMqQueueBindingConfigurator queue)
    {
        foreach (var inherited in (ReadOnlySpan<string>)["x-dead-letter-exchange", "x-dead-letter-routing-key", "x-dead-letter-strategy"])
            queue.SetQueueArgument(inherited, null);
        foreach (var (name, value) in DeadLetterQueues.Arguments)
            queue.SetQueueArgument(name, value);
    }

    static void ConfigureEndpoint(IRegistrationContext context, string name, IReceiveEndpointConfigurator endpoint, MessagingOptions options)
    {
        var endpoints = context.GetRequiredService<EndpointNames>();
        endpoints.Add(name);
        if (endpoint is IRabbitMqReceiveEndpointConfigurator rabbit)
        {
            rabbit.SetQuorumQueue();
            // What was delivered too often goes to the error queue like any other failure, and is safe on the way there: without
            // a dead-letter exchange a quorum queue drops it.
            rabbit.SetQueueArgument("x-delivery-limit", options.DeliveryLimit);
            rabbit.SetQueueArgument("x-dead-letter-exchange", "");
            rabbit.SetQueueArgument("x-dead-letter-routing-key", $"{name}_error");
            rabbit.SetQueueArgument("x-dead-letter-strategy", "at-least-once");
            rabbit.SetQueueArgument("x-overflow", "reject-publish");
        }

        // An endpoint's own limit wins: one whose consumers only defer holds no connection, and gains by more.
        endpoint.ConcurrentMessageLimit ??= options.Concurrency;
        endpoint.PrefetchCount = Math.Max(options.Prefetch, 2 * endpoint.ConcurrentMessageLimit.Value);
        // What failed is in the error queue; nobody listens to Fault<T>.
        endpoint.PublishFaults = false;

        // From the outside in. Postgres away: hold the message and wait, whatever it takes; nothing is dead-lettered for that.
        endpoint.UseMessageRetry(retry =>
        {
            retry.Handle<Exception>(PostgresFailure.IsUnavailable);
            // Longer than RabbitMQ leaves a message unacknowledged (30 minutes): it redelivers, and the wait begins anew.
            retry.Interval(3600, TimeSpan.FromSeconds(1));
        });
        endpoint.UseScheduledRedelivery(retry =>
        {
            IgnoreWhatNoTimeMends(retry);
            // Tried again at once it may meet other rows. A quarter of an hour of waiting does not change the message.
            retry.Ignore<Exception>(PostgresFailure.IsOfData);
            retry.Intervals([.. options.Redeliveries]);
        });
        endpoint.UseMessageRetry(retry =>
        {
            IgnoreWhatNoTimeMends(retry);
            retry.Intervals([.. options.Retries]);
        });

        var inbox = new InboxConfigurationObserver(name, context, endpoints);
        endpoint.ConnectConsumerConfigurationObserver(inbox);
        endpoint.ConnectSagaConfigurationObserver(inbox);
    }

    static void IgnoreWhatNoTimeMends(IRetryConfigurator retry)
    {
        retry.Ignore<UnprocessableMessageException>();
        retry.Ignore<Exception>(PostgresFailure.IsUnavailable);
    }
}

/// <summary>MassTransit's JSON envelope, without the indentation that it is written with by default.</summary>
static class Envelope
{
    public static void Configure()
    {
        if (!SystemTextJsonMessageSerializer.Options.IsReadOnly)
            SystemTextJsonMessageSerializer.Options.WriteIndented = false;
    }
}
