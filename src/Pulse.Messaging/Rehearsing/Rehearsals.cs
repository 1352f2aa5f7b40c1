using System.Collections.Concurrent;
using System.Reflection;
using MassTransit;
using MassTransit.Configuration;
using MassTransit.Transports;
using Npgsql;
using Pulse.Messaging.Inbox;

namespace Pulse.Messaging.Rehearsing;

/// <summary>
/// Tells what a message would do, by doing it: it goes through its endpoint's own consumer, in a transaction that is rolled back. Nothing is
/// published, acknowledged, retried or moved, and nothing waits for a lock for long.
/// </summary>
/// <remarks>Only where every consumer of the endpoint is <see cref="RehearsableAttribute"/>. Needs the bus, but no broker.</remarks>
public sealed class Rehearsals(IBusRegistrationContext registration, IBusInstance bus, EndpointNames endpoints)
{
    readonly ConcurrentDictionary<string, Lazy<ReceiveEndpointDispatcher>> _dispatchers = new(StringComparer.Ordinal);

    /// <param name="endpoint">The endpoint's name.</param>
    /// <param name="contentType">The AMQP content type.</param>
    /// <param name="headers">Transport headers.</param>
    /// <param name="body">The serialized envelope.</param>
    /// <param name="patience">For one statement, and a quarter of it for one lock.</param>
    /// <param name="cancellationToken">Ends it: it is rolled back then, too.</param>
    public async Task<RehearsalOutcome> RunAsync(
        string endpoint, string contentType, IReadOnlyDictionary<string, object> headers, byte[] body, TimeSpan patience, CancellationToken cancellationToken)
    {
        var consumers = endpoints.ConsumersOf(endpoint);
        if (consumers.Count == 0)
            return new RehearsalOutcome(RehearsalEnd.NotConsumed);
        if (consumers.Any(consumer => consumer.GetCustomAttribute<RehearsableAttribute>() is null))
            return new RehearsalOutcome(RehearsalEnd.NotRehearsable);

        var rehearsal = new Rehearsal(patience);
        try
        {
            var transport = new Dictionary<string, object>(headers, StringComparer.OrdinalIgnoreCase) { ["Content-Type"] = contentType };
            await Dispatcher(endpoint).Dispatch(body, transport, cancellationToken, rehearsal);
        }
        catch (Exception exception) when (!cancellationToken.IsCancellationRequested)
        {
            // Before its consumer: no consumer takes it, or it can't be read.
            rehearsal.Outcome ??= new RehearsalOutcome(RehearsalEnd.NotConsumed) { Exception = exception };
        }

        return rehearsal.Outcome ?? new RehearsalOutcome(RehearsalEnd.NotConsumed);
    }

    ReceiveEndpointDispatcher Dispatcher(string endpoint) => _dispatchers.GetOrAdd(endpoint, name => new(() =>
    {
        // The endpoint once more, beside the one that consumes: with the transaction around its consumers, and without retries, redelivery
        // and an error queue, which would do something.
        var configuration = bus.HostConfiguration.CreateReceiveEndpointConfiguration(name);
        var configurator = (IReceiveEndpointConfigurator)configuration;
        configurator.ThrowOnSkippedMessages();
        configurator.RethrowFaultedMessages();
        configurator.PublishFaults = false;
        configurator.ConfigureConsumeTopology = false;
        var inbox = new InboxConfigurationObserver(name, registration);
        configurator.ConnectConsumerConfigurationObserver(inbox);
        configurator.ConnectSagaConfigurationObserver(inbox);
        foreach (var consumer in endpoints.ConsumersOf(name))
        {
            if (typeof(ISaga).IsAssignableFrom(consumer))
                configurator.ConfigureSaga(registration, consumer);
            else
                configurator.ConfigureConsumer(registration, consumer);
        }

        // Observers hear of consumers with the first, and of sagas with the second. Without the transaction around it a consumer would do
        // what it does.
        configuration.Validate().ThrowIfContainsFailure($"Endpoint '{name}' can't be rehearsed:");
        var context = configuration.CreateReceiveEndpointContext();
        if (!inbox.IsComplete(endpoints.ConsumersOf(name)))
            throw new ConfigurationException($"Not every consumer of endpoint '{name}' is in a transaction: it can't be rehearsed.");
        return new ReceiveEndpointDispatcher(context);
    })).Value;

    /// <summary>What an exception of a rehearsed consumer says.</summary>
    internal static RehearsalOutcome OutcomeOf(Exception exception)
    {
        for (var cause = exception; cause is not null; cause = cause.InnerException)
        {
            switch (cause)
            {
                case AlreadyConsumedException:
                    return new RehearsalOutcome(RehearsalEnd.AlreadyConsumed);
                case PostgresException { SqlState: PostgresErrorCodes.LockNotAvailable or PostgresErrorCodes.DeadlockDetected }:
                    return new RehearsalOutcome(RehearsalEnd.Busy);
                case PostgresException { SqlState: PostgresErrorCodes.QueryCanceled } or OperationCanceledException:
                    return new RehearsalOutcome(RehearsalEnd.TimedOut);
            }
        }

        return new RehearsalOutcome(RehearsalEnd.Failed) { Exception = exception.GetBaseException() };
    }
}
