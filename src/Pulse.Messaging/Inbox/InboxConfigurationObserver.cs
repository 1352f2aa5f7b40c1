using MassTransit;
using MassTransit.Configuration;
using MassTransit.DependencyInjection;
using MassTransit.Middleware;

namespace Pulse.Messaging.Inbox;

/// <summary>Puts every consumer and saga of one endpoint into a message transaction.</summary>
sealed class InboxConfigurationObserver(string consumerId, IRegistrationContext context, EndpointNames? endpoints = null) : IConsumerConfigurationObserver, ISagaConfigurationObserver
{
    readonly HashSet<Type> _messages = [];
    readonly HashSet<Type> _consumers = [];

    /// <summary>Whether all of these have been put into a transaction.</summary>
    public bool IsComplete(IReadOnlyList<Type> consumers) => _consumers.SetEquals(consumers);

    public void ConsumerConfigured<TConsumer>(IConsumerConfigurator<TConsumer> configurator)
        where TConsumer : class
    {
    }

    public void ConsumerMessageConfigured<TConsumer, TMessage>(IConsumerMessageConfigurator<TConsumer, TMessage> configurator)
        where TConsumer : class
        where TMessage : class =>
        AddFilter(typeof(TConsumer), (IConsumerMessageConfigurator<TMessage>)configurator);

    public void SagaConfigured<TSaga>(ISagaConfigurator<TSaga> configurator)
        where TSaga : class, ISaga
    {
    }

    public void StateMachineSagaConfigured<TInstance>(ISagaConfigurator<TInstance> configurator, SagaStateMachine<TInstance> stateMachine)
        where TInstance : class, ISaga, SagaStateMachineInstance
    {
    }

    public void SagaMessageConfigured<TSaga, TMessage>(ISagaMessageConfigurator<TSaga, TMessage> configurator)
        where TSaga : class, ISaga
        where TMessage : class =>
        AddFilter(typeof(TSaga), (ISagaMessageConfigurator<TMessage>)configurator);

    void AddFilter<TMessage>(Type consumer, IPipeConfigurator<ConsumeContext<TMessage>> configurator)
        where TMessage : class
    {
        // Two consumers of one message would share the inbox row, and the second would find it already consumed.
        if (!_messages.Add(typeof(TMessage)))
            throw new ConfigurationException(
                $"Endpoint '{consumerId}' has more than one consumer of {typeof(TMessage).Name} ({consumer.Name} is one). Give each an endpoint of its own.");

        _consumers.Add(consumer);
        endpoints?.Add(consumerId, consumer);

        var scope = new ConsumeScopeProvider(context, (ISetScopedConsumeContext)context);
        var options = new InboxOptions { Consumer = consumerId, ConsumerType = consumer.Name };
        configurator.AddPipeSpecification(new FilterPipeSpecification<ConsumeContext<TMessage>>(
            new OutboxConsumeFilter<MessageTransaction, TMessage>(scope, options)));
    }
}
