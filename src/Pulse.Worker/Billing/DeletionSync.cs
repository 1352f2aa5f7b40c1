using Npgsql;
using Pulse.Contracts.Lifecycle;
using Pulse.Messaging;
using Pulse.Messaging.Outbox;
using Pulse.Worker.Billing.Stripe;

namespace Pulse.Worker.Billing;

/// <summary>
/// A deleted organization's subscriptions end with what is paid; a restored one's go on, those that its deletion cancelled and no others. What is
/// to be cancelled is written down, and committed, before the first is: whoever dies in between knows afterwards which were Pulse's doing.
/// </summary>
/// <remarks>
/// Calls are keyed by deletion, verb and subscription. The row's lock is held meanwhile, so that a restore's call comes behind that of the
/// deletion. Stripe away, and a key that it refuses, are retried for ever.
/// </remarks>
sealed partial class DeletionSync(
    NpgsqlDataSource dataSource, StripeGateway stripe, OutboxPublisher publisher, SyncOptions options, TimeProvider clock, ILogger<DeletionSync> log)
{
    // Before there is a row nothing counts them: half a minute, more or less.
    const int FailuresUncounted = 6;

    public async Task DoAsync(MessageTransaction transaction, CancelSubscriptions command, CancellationToken cancellationToken)
    {
        if (!await StripeDeletionTable.IsPlannedAsync(dataSource, command.DeletionId, cancellationToken))
        {
            await PlanAsync(transaction, command, cancellationToken);
            return;
        }

        var connection = await transaction.OpenAsync(cancellationToken);
        // Restored meanwhile: it is ResumeSubscriptions that has the last word.
        if (await StripeDeletionTable.LockAsync(connection, command.DeletionId, cancellationToken) is not { Stands: true } deletion)
            return;

        await TellAsync(transaction, connection, command.DeletionId, command.OrgId, deletion, [.. deletion.Subscriptions.Except(deletion.Cancelled)], resume: false, command, cancellationToken);
    }

    public async Task DoAsync(MessageTransaction transaction, ResumeSubscriptions command, CancellationToken cancellationToken)
    {
        var connection = await transaction.OpenAsync(cancellationToken);
        if (await StripeDeletionTable.LockAsync(connection, command.DeletionId, cancellationToken) is not { } deletion)
            return;

        // Also those that nobody knows of whether Stripe was told: that it was, and its answer did not come, is one way for it.
        var left = deletion.Subscriptions.Except(deletion.Resumed).ToList();
        await TellAsync(transaction, connection, command.DeletionId, command.OrgId, deletion, left, resume: true, command, cancellationToken);
    }

    // Asked of Stripe itself and not of what was last fetched: a subscription of a minute ago counts as well.
    async Task PlanAsync(MessageTransaction transaction, CancelSubscriptions command, CancellationToken cancellationToken)
    {
        var going = new List<string>();
        foreach (var customer in await StripeDeletionTable.CustomersAsync(dataSource, command.OrgId, cancellationToken))
        {
            var answer = await stripe.SubscriptionsAsync(customer, cancellationToken);
            if (answer.Result is StripeResult.Rejected)
                throw new StripeRejectedException(customer, answer.Reason!);
            if (answer.Result is not (StripeResult.Fetched or StripeResult.Gone))
            {
                PutOff(transaction, command, command.OrgId, answer.Reason, FailuresUncounted, answer.RetryAfter);
                return;
            }

            // What its customer had cancelled already stays cancelled whatever comes.
            going.AddRange((answer.Value ?? []).Where(one => one is { Status: not ("canceled" or "incomplete_expired"), CancelAtPeriodEnd: false }).Select(one => one.Id));
        }

        var now = clock.GetUtcNow();
        if (await StripeDeletionTable.PlanAsync(await transaction.OpenAsync(cancellationToken), command.DeletionId, command.OrgId, going, now, cancellationToken))
        {
            transaction.Defer(publisher.Publish(command));
            transaction.OnCommitted(publisher.Committed);
        }
    }

    async Task TellAsync<T>(
        MessageTransaction transaction, NpgsqlConnection connection, Guid deletionId, Guid orgId, StripeDeletion deletion, List<string> subscriptions,
        bool resume, T again, CancellationToken cancellationToken)
        where T : class
    {
        foreach (var subscription in subscriptions)
        {
            var answer = await stripe.CancelAtPeriodEndAsync(
                subscription, !resume, $"deletion:{deletionId}:{(resume ? "resume" : "cancel")}:{subscription}", cancellationToken);
            // One that has ended needs neither, and can have neither.
            if (answer.Result is not (StripeResult.Fetched or StripeResult.Gone) && !(answer.Result is StripeResult.Rejected && await HasEndedAsync(subscription, cancellationToken)))
            {
                // What was done is kept: the next try begins behind it.
                transaction.Defer(StripeDeletionTable.Failed(deletionId));
                PutOff(transaction, again, orgId, answer.Reason, deletion.Failures + 1, answer.RetryAfter);
                return;
            }

            await StripeDeletionTable.DoneAsync(connection, deletionId, subscription, resume, cancellationToken);
        }

        transaction.Defer(StripeDeletionTable.Complete(deletionId, resume, clock.GetUtcNow()));
        if (subscriptions.Count > 0)
            transaction.OnCommitted(() => Told(log, orgId, subscriptions.Count, resume ? "go on" : "end with their period"));
    }

    async Task<bool> HasEndedAsync(string subscription, CancellationToken cancellationToken) =>
        await stripe.ObjectAsync($"/v1/subscriptions/{Uri.EscapeDataString(subscription)}", cancellationToken) is { IsFetched: true } found
        && StripeJson.Subscription(found.Value) is { Status: "canceled" or "incomplete_expired" };

    void PutOff<T>(MessageTransaction transaction, T again, Guid orgId, string? reason, int failures, TimeSpan? retryAfter)
        where T : class
    {
        var wait = SyncRules.Backoff(failures, retryAfter, Random.Shared.NextDouble(), options);
        transaction.Defer(publisher.Publish(again, clock.GetUtcNow() + wait));
        transaction.OnCommitted(() =>
        {
            publisher.Committed();
            Waits(log, orgId, reason ?? "", wait.TotalSeconds);
        });
    }

    [LoggerMessage(Level = LogLevel.Information, Message = "Stripe was told that {Count} subscriptions of organization {OrgId} {What}")]
    static partial void Told(ILogger logger, Guid orgId, int count, string what);

    [LoggerMessage(Level = LogLevel.Warning, Message = "Stripe could not be told about the subscriptions of organization {OrgId} ({Reason}); it is tried again in {Seconds:0} s")]
    static partial void Waits(ILogger logger, Guid orgId, string reason, double seconds);
}
