using MassTransit;
using MassTransit.Middleware;
using MassTransit.Middleware.Outbox;
using Npgsql;
using Pulse.Messaging.Outbox;
using Pulse.Messaging.Rehearsing;

namespace Pulse.Messaging.Inbox;

/// <summary>Begins a message's transaction, runs the consumer in it, and hands what it published to the broker after the commit.</summary>
sealed class MessageTransactionFactory(
    NpgsqlDataSource dataSource, GroupCommit group, DirectPublisher publisher, MessagingOptions options, TimeProvider clock, IServiceProvider provider,
    IEnumerable<Receipt> receipts) : IOutboxContextFactory<MessageTransaction>
{
    public async Task Send<T>(ConsumeContext<T> context, OutboxConsumeOptions consumeOptions, IPipe<OutboxConsumeContext<T>> next)
        where T : class
    {
        var messageId = context.GetOriginalMessageId()
            ?? throw new UnprocessableMessageException($"A {typeof(T).Name} without a message id can't be de-duplicated.");
        var consumer = ((InboxOptions)consumeOptions).Consumer;

        var rehearsal = context.TryGetPayload<Rehearsal>(out var rehearsed) ? rehearsed : null;
        await using var transaction = new MessageTransaction(
            dataSource, group, options.Mutant.Remember(new InboxEntry(messageId, consumer, clock.GetUtcNow().UtcDateTime)), rehearsal);
        context.AddOrUpdatePayload(() => transaction, _ => transaction);
        var receipt = rehearsal is null ? ReceiptOf(context, transaction.Entry) : null;
        if (receipt is not null)
            transaction.Defer(receipt);
        try
        {
            await next.Send(new TransactionalConsumeContext<T>(context, consumeOptions, provider, transaction, publisher, options, clock));
        }
        catch (Exception) when (transaction.IsRepeat)
        {
            // Whatever the consumer made of it: a repeat is acknowledged, and that is all. It has to be said that it was consumed,
            // or MassTransit moves it to the _skipped queue.
            if (context.ReceiveContext is { IsDelivered: false, IsFaulted: false })
                await context.NotifyConsumed(context, context.ReceiveContext.ElapsedTime, consumeOptions.ConsumerType);
        }
        catch (Exception exception) when (rehearsal is not null)
        {
            rehearsal.Outcome = Rehearsals.OutcomeOf(exception);
        }

        if (!transaction.IsRepeat)
            return;
        if (rehearsal is not null)
            rehearsal.Outcome = new RehearsalOutcome(RehearsalEnd.AlreadyConsumed);
        else if (receipt is not null)
            await RunAloneAsync(receipt);
    }

    NpgsqlBatchCommand? ReceiptOf(ConsumeContext context, InboxEntry entry)
    {
        foreach (var receipt in receipts)
        {
            if (Receipt.HeaderOf(context.ReceiveContext, receipt.Header) is { } header)
                return receipt.Statement(new ConsumedMessage(header, entry.MessageId, entry.ConsumerId, entry.ConsumedAt));
        }

        return null;
    }

    // The message's effects are there, and so has to be what tells of them, before it is acknowledged.
    async Task RunAloneAsync(NpgsqlBatchCommand receipt)
    {
        await using var batch = dataSource.CreateBatch();
        batch.BatchCommands.Add(receipt);
        await batch.ExecuteNonQueryAsync(CancellationToken.None);
    }

    public void Probe(ProbeContext context) => context.CreateFilterScope("messageTransaction").Add("provider", "postgres");
}

/// <summary>What a consumer sees: everything it sends, publishes or schedules becomes an outbox row of its transaction.</summary>
sealed class TransactionalConsumeContext<TMessage>(
    ConsumeContext<TMessage> context,
    OutboxConsumeOptions consumeOptions,
    IServiceProvider provider,
    MessageTransaction transaction,
    DirectPublisher publisher,
    MessagingOptions options,
    TimeProvider clock) : OutboxConsumeContextProxy<TMessage>(context, consumeOptions, provider)
    where TMessage : class
{
    public override bool ContinueProcessing { get; set; }

    // Whether it was consumed before is known when the transaction begins, which is as late as it can.
    public override bool IsMessageConsumed => false;
    public override bool IsOutboxDelivered => false;
    public override int ReceiveCount => 1;
    public override long? LastSequenceNumber => null;

    public override Task AddSend<T>(SendContext<T> context)
    {
        transaction.Publish(SendCapture.ToOutbox(context, clock.GetUtcNow().UtcDateTime, options.DirectPublishGrace));
        return Task.CompletedTask;
    }

    public override async Task SetConsumed()
    {
        await options.ReachedAsync(transaction.Entry.ConsumerId, "before commit");
        // Not cancelled half-way: a commit whose answer was not read is a commit nobody knows of.
        var published = await transaction.CommitAsync(CancellationToken.None);
        await options.ReachedAsync(transaction.Entry.ConsumerId, "after commit");
        publisher.Enqueue(published);
        await options.ReachedAsync(transaction.Entry.ConsumerId, "before acknowledge");
    }

    public override Task SetDelivered() => Task.CompletedTask;
    public override Task<List<OutboxMessageContext>> LoadOutboxMessages() => Task.FromResult<List<OutboxMessageContext>>([]);
    public override Task NotifyOutboxMessageDelivered(OutboxMessageContext message) => Task.CompletedTask;
    public override Task RemoveOutboxMessages() => Task.CompletedTask;
}
