using MassTransit;
using MassTransit.Configuration;
using MassTransit.Context;
using MassTransit.Middleware;
using MassTransit.Saga;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;

namespace Pulse.Messaging.Sagas;

/// <summary>Keeps saga instances in Postgres, in the transaction of the message that moves them.</summary>
public static class PostgresSagaRepository
{
    /// <summary>Keeps this saga's instances as rows of <c>messaging.sagas</c>.</summary>
    /// <param name="configurator">What <c>AddSagaStateMachine</c> returned.</param>
    /// <param name="name">The frozen name its rows are kept under.</param>
    /// <param name="state">The property with the state's name.</param>
    public static ISagaRegistrationConfigurator<TSaga> PostgresRepository<TSaga>(
        this ISagaRegistrationConfigurator<TSaga> configurator, string name, Func<TSaga, string> state)
        where TSaga : class, ISaga =>
        configurator.Repository(services =>
        {
            services.TryAddSingleton(new SagaMap<TSaga>(name, state));
            services.RegisterSagaRepository<TSaga, MessageTransaction, SagaConsumeContextFactory<MessageTransaction, TSaga>,
                SagaRepositoryContextFactory<TSaga>>();
        });
}

sealed class SagaRepositoryContextFactory<TSaga>(SagaMap<TSaga> map, TimeProvider clock) : ISagaRepositoryContextFactory<TSaga>
    where TSaga : class, ISaga
{
    public Task Send<T>(ConsumeContext<T> context, IPipe<SagaRepositoryContext<TSaga, T>> next)
        where T : class =>
        next.Send(new PostgresSagaRepositoryContext<TSaga, T>(context, map, clock));

    public Task SendQuery<T>(ConsumeContext<T> context, ISagaQuery<TSaga> query, IPipe<SagaRepositoryQueryContext<TSaga, T>> next)
        where T : class =>
        throw new NotSupportedException(
            $"{typeof(TSaga).Name} correlates {typeof(T).Name} by a query. Correlate by id: derive the id from the business key.");

    public void Probe(ProbeContext context) => context.Add("persistence", "postgres");
}

sealed class PostgresSagaRepositoryContext<TSaga, TMessage>(ConsumeContext<TMessage> context, SagaMap<TSaga> map, TimeProvider clock)
    : ConsumeContextScope<TMessage>(context), SagaRepositoryContext<TSaga, TMessage>
    where TSaga : class, ISaga
    where TMessage : class
{
    readonly ConsumeContext<TMessage> _context = context;
    readonly MessageTransaction _transaction = context.Transaction();

    public async Task<SagaConsumeContext<TSaga, TMessage>?> Load(Guid correlationId)
    {
        var loaded = await SagaTable.LoadAsync<TSaga>(_transaction, map.Name, correlationId, CancellationToken);
        return loaded is null ? null : new DefaultSagaConsumeContext<TSaga, TMessage>(_context, loaded);
    }

    public Task<SagaConsumeContext<TSaga, TMessage>> Add(TSaga instance) =>
        Task.FromResult<SagaConsumeContext<TSaga, TMessage>>(new DefaultSagaConsumeContext<TSaga, TMessage>(_context, instance));

    // Asked for by InsertOnInitial, before the instance is looked for. It is written when it is saved, like any other.
    public Task<SagaConsumeContext<TSaga, TMessage>?> Insert(TSaga instance) => Task.FromResult<SagaConsumeContext<TSaga, TMessage>?>(null);

    public Task Save(SagaConsumeContext<TSaga> context) => Defer(SagaTable.Insert(map, context.Saga, Now));

    public Task Update(SagaConsumeContext<TSaga> context) => Defer(SagaTable.Update(map, context.Saga, Now));

    public Task Delete(SagaConsumeContext<TSaga> context) => Defer(SagaTable.Delete(map.Name, context.Saga.CorrelationId));

    public Task Discard(SagaConsumeContext<TSaga> context) => Task.CompletedTask;

    public Task Undo(SagaConsumeContext<TSaga> context) => Task.CompletedTask;

    public Task<SagaConsumeContext<TSaga, T>> CreateSagaConsumeContext<T>(ConsumeContext<T> consumeContext, TSaga instance, SagaConsumeContextMode mode)
        where T : class =>
        Task.FromResult<SagaConsumeContext<TSaga, T>>(new DefaultSagaConsumeContext<TSaga, T>(consumeContext, instance));

    DateTime Now => clock.GetUtcNow().UtcDateTime;

    Task Defer(Npgsql.NpgsqlBatchCommand command)
    {
        _transaction.Defer(command);
        return Task.CompletedTask;
    }
}
