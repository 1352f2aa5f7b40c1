using Npgsql;
using Pulse.Contracts.Billing;
using Pulse.Messaging;
using Pulse.Messaging.Outbox;
using Pulse.Worker.Billing.Stripe;

namespace Pulse.Worker.Billing;

/// <summary>What an event brought about, and what its consumer publishes.</summary>
/// <param name="Type">The label that it is counted under.</param>
/// <param name="Outcome">One of <see cref="StripeEventRules.Outcomes"/>.</param>
sealed record EventOutcome(string Type, string Outcome)
{
    /// <summary>SyncStripeCustomer is to be published for it.</summary>
    public string? CustomerId { get; init; }

    /// <summary>The event is to be looked at again then.</summary>
    public DateTimeOffset? Again { get; init; }

    /// <summary>Goes out with the commit.</summary>
    public NpgsqlBatchCommand? Deferred { get; init; }
}

/// <summary>Finds whom an event is about, and marks them. The event is a hint; what is true is fetched afterwards.</summary>
sealed partial class StripeEventIntake(
    NpgsqlDataSource dataSource, StripeGateway stripe, StripeOptions account, OutboxPublisher publisher, SyncOptions options, TimeProvider clock,
    ILogger<StripeEventIntake> log)
{
    const int Batch = 500;

    // A dispute names a charge, which names a customer: no chain is longer.
    const int MostHops = 3;

    /// <param name="eventId">The event.</param>
    /// <param name="open">Begins the transaction that it marks in; the caller commits.</param>
    /// <exception cref="UnprocessableMessageException">There is no such event, or Stripe rejects what it is asked of it.</exception>
    public async Task<EventOutcome> HandleAsync(string eventId, Func<CancellationToken, ValueTask<NpgsqlConnection>> open, CancellationToken cancellationToken)
    {
        await options.ReachedAsync("event: before read");
        var happened = await StripeEventTable.ReadAsync(dataSource, eventId, options.DeliveryTakes, cancellationToken) ?? throw new StripeEventMissingException(eventId);
        await options.ReachedAsync("event: after read");
        var label = StripeEventRules.Label(happened.Type);
        if (happened.IsCompleted)
            return new EventOutcome(label, "repeat");

        if (happened.Livemode is { } live && account.Livemode is { } ours && live != ours)
            return Done(happened, label, "wrong_livemode");

        var subject = StripeEventRules.Subject(happened.Type, happened.Body);
        for (var hop = 0; subject is EventSubject.Related related; hop++)
        {
            var answer = hop < MostHops ? await stripe.ObjectAsync(related.Path, cancellationToken) : new(StripeResult.Gone);
            await options.ReachedAsync("event: after fetch");
            if (answer.Result is StripeResult.Rejected)
                throw new StripeRejectedException(eventId, answer.Reason!);
            if (answer.Result is not (StripeResult.Fetched or StripeResult.Gone))
                return PutOff(happened, label, answer);
            subject = answer.IsFetched ? StripeEventRules.Of(answer.Value) : new EventSubject.Nothing("no_customer");
        }

        switch (subject)
        {
            case EventSubject.Customer customer:
                var connection = await open(cancellationToken);
                await options.ReachedAsync("event: before mark");
                var twin = await StripeEventTable.MarkAsync(connection, happened, customer.Id, clock.GetUtcNow(), cancellationToken);
                await options.ReachedAsync("event: after mark");
                return new EventOutcome(label, twin ? "twin" : "marked") { CustomerId = customer.Id };
            case EventSubject.Sold sold:
                await MarkSellingAsync(sold.Id, cancellationToken);
                return Done(happened, label, "marked") with { Deferred = StripeEventTable.Complete(eventId, "applied", clock.GetUtcNow()) };
            default:
                return Done(happened, label, ((EventSubject.Nothing)subject).Why);
        }
    }

    EventOutcome Done(InboxEvent happened, string label, string outcome) =>
        new(label, outcome) { Deferred = StripeEventTable.Complete(happened.EventId, "ignored", clock.GetUtcNow()) };

    EventOutcome PutOff(InboxEvent happened, string label, StripeAnswer<System.Text.Json.JsonElement> answer)
    {
        var wait = SyncRules.Backoff(happened.Attempts + 1, answer.RetryAfter, Random.Shared.NextDouble(), options);
        var until = clock.GetUtcNow() + wait;
        Waiting(log, happened.EventId, answer.Reason ?? "", wait.TotalSeconds);
        return new EventOutcome(label, "put_off") { Again = until, Deferred = StripeEventTable.Postpone(happened.EventId, until) };
    }

    // In transactions of their own, so that a price that a hundred thousand have holds no hundred thousand locks. Who is marked twice,
    // because this was repeated, is fetched once.
    async Task MarkSellingAsync(string priceOrProduct, CancellationToken cancellationToken)
    {
        var after = "";
        while (true)
        {
            await using var connection = await dataSource.OpenConnectionAsync(cancellationToken);
            await using var transaction = await connection.BeginTransactionAsync(cancellationToken);
            var marked = await StripeCustomerTable.MarkSellingAsync(connection, priceOrProduct, after, Batch, clock.GetUtcNow(), cancellationToken);
            if (marked.Count == 0)
                return;

            await using var batch = new NpgsqlBatch(connection);
            foreach (var customerId in marked)
                batch.BatchCommands.Add(publisher.Publish(new SyncStripeCustomer { CustomerId = customerId }));
            batch.BatchCommands.Add(new NpgsqlBatchCommand("commit"));
            await options.ReachedAsync("event: before commit of the sold");
            await batch.ExecuteNonQueryAsync(CancellationToken.None);
            publisher.Committed();
            await options.ReachedAsync("event: after commit of the sold");
            after = marked.Max(StringComparer.Ordinal)!;
            if (marked.Count < Batch)
                return;
        }
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "Stripe could not say whose event {EventId} is ({Reason}); it is asked again in {Seconds:0.0} s")]
    static partial void Waiting(ILogger logger, string eventId, string reason, double seconds);
}

/// <summary>A message speaks of an event that is not stored.</summary>
sealed class StripeEventMissingException(string eventId) : UnprocessableMessageException($"There is no Stripe event {eventId}.");
