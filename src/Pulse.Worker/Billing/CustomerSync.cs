using Npgsql;
using Pulse.Catalog;
using Pulse.Contracts.Billing;
using Pulse.Messaging;
using Pulse.Worker.Billing.Stripe;

namespace Pulse.Worker.Billing;

/// <summary>How a sync ended.</summary>
enum SyncEnd
{
    /// <summary>Nothing had changed since the last fetch.</summary>
    InStep,

    /// <summary>Another holds the customer, or it is let be for a while.</summary>
    Waiting,

    /// <summary>Another has taken it meanwhile: what was fetched is dropped.</summary>
    Superseded,

    /// <summary>Fetched, stored, and nobody's yet.</summary>
    Parked,

    /// <summary>Fetched, and claimed by nobody or by several.</summary>
    Quarantined,

    /// <summary>Fetched and stored.</summary>
    Applied,

    /// <summary>Stripe did not answer, or was not asked because it was not its turn.</summary>
    PutOff,
}

/// <summary>What a sync did, and what its caller publishes in the transaction that it stored in.</summary>
sealed record SyncOutcome(SyncEnd End)
{
    /// <summary>Of the fetch, for the counter; null when nothing was fetched.</summary>
    public string? Fetch { get; init; }

    /// <summary>SyncStripeCustomer is to be published for then.</summary>
    public DateTimeOffset? Timer { get; init; }

    public EntitlementsChanged? Changed { get; init; }

    /// <summary>A difference that no event had told of: webhook_missing or handler_failed.</summary>
    public string? Drift { get; init; }

    /// <summary>When the webhooks were received that it is the first to have seen.</summary>
    public IReadOnlyList<DateTime> ReceivedAt { get; init; } = [];
}

/// <summary>
/// Brings one customer in step: lease, fetch outside of any transaction, store under the fence. Whatever order events come in, and
/// however fetches overlap, what is stored last is what was fetched last.
/// </summary>
sealed partial class CustomerSync(
    NpgsqlDataSource dataSource, StripeGateway stripe, RequestRate rate, Plans plans, SyncOptions options, TimeProvider clock, ILogger<CustomerSync> log)
{
    // Counting costs; of more than these it makes no difference.
    const int MostCounted = 10_000;

    /// <param name="customerId">Whom.</param>
    /// <param name="open">Begins the transaction that it stores in, or goes on with it; the caller commits.</param>
    /// <exception cref="UnprocessableMessageException">A price that no plan has, or a request that Stripe rejects: a person has to look.</exception>
    public async Task<SyncOutcome> RunAsync(
        string customerId, Func<CancellationToken, ValueTask<NpgsqlConnection>> open, CancellationToken cancellationToken)
    {
        await options.ReachedAsync("sync: before lease");
        var attempt = await StripeCustomerTable.LeaseAsync(dataSource, customerId, clock.GetUtcNow(), options, cancellationToken);
        if (attempt.Lease is not { } lease)
            return attempt.Behind ? await WaitAsync(customerId, attempt, open, cancellationToken) : new SyncOutcome(SyncEnd.InStep);

        NpgsqlConnection? opened = null;
        try
        {
            await options.ReachedAsync("sync: after lease");
            return await RunAsync(lease, async token => opened = await open(token), cancellationToken);
        }
        catch (Exception exception)
        {
            await ReleaseAsync(lease, opened, exception switch
            {
                UnknownPriceException unknown => $"unknown_price {unknown.PriceId}",
                StripeRejectedException rejected => $"stripe_rejected {rejected.Reason}",
                _ => null,
            });
            throw;
        }
    }

    // Whoever holds it may have died: a timer stands at the end of the lease.
    async Task<SyncOutcome> WaitAsync(
        string customerId, LeaseAttempt attempt, Func<CancellationToken, ValueTask<NpgsqlConnection>> open, CancellationToken cancellationToken)
    {
        var now = clock.GetUtcNow();
        var until = attempt.Until ?? now + options.Lease;
        if (attempt.TimerAt > now && attempt.TimerAt <= until)
            return new SyncOutcome(SyncEnd.Waiting);

        var armed = await StripeCustomerTable.ArmAsync(await open(cancellationToken), customerId, until, now, cancellationToken);
        return new SyncOutcome(SyncEnd.Waiting) { Timer = armed ? until : null };
    }

    async Task<SyncOutcome> RunAsync(Lease lease, Func<CancellationToken, ValueTask<NpgsqlConnection>> open, CancellationToken cancellationToken)
    {
        if (await rate.TakeAsync(cancellationToken) is not { } turn)
            return await YieldAsync(lease, open, cancellationToken);

        if (turn > TimeSpan.Zero)
        {
            await Task.Delay(turn, clock, cancellationToken);
            if (await StripeCustomerTable.RenewAsync(dataSource, lease, clock.GetUtcNow() + options.Lease, cancellationToken) is not { } renewed)
                return new SyncOutcome(SyncEnd.Superseded);
            lease = renewed;
        }

        await options.ReachedAsync("sync: before fetch");
        var answer = await FetchAsync(lease, cancellationToken);
        await options.ReachedAsync("sync: after fetch");
        return answer.Result switch
        {
            StripeResult.Fetched => await StoreAsync(lease, answer.Value!, await open(cancellationToken), cancellationToken),
            StripeResult.Rejected => throw new StripeRejectedException(lease.CustomerId, answer.Reason!),
            _ => await PutOffAsync(lease, answer, open, cancellationToken),
        };
    }

    async Task<StripeAnswer<StripeCustomer>> FetchAsync(Lease lease, CancellationToken cancellationToken)
    {
        using var within = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        within.CancelAfter(options.FetchWithin);
        try
        {
            return await stripe.CustomerAsync(lease.CustomerId, withSessions: lease.OrgId is null, within.Token);
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            return new(StripeResult.Unavailable, Reason: "not fetched in time");
        }
    }

    // Stripe was not asked, and nothing failed: too many others are before it.
    async Task<SyncOutcome> YieldAsync(Lease lease, Func<CancellationToken, ValueTask<NpgsqlConnection>> open, CancellationToken cancellationToken)
    {
        var now = clock.GetUtcNow();
        var connection = await open(cancellationToken);
        var until = now + rate.NextTurn(await StripeCustomerTable.BehindAsync(connection, MostCounted, cancellationToken), Random.Shared.NextDouble());
        await StripeCustomerTable.YieldAsync(connection, lease, until, cancellationToken);
        var armed = await StripeCustomerTable.ArmAsync(connection, lease.CustomerId, until, now, cancellationToken);
        return new SyncOutcome(SyncEnd.PutOff) { Timer = armed ? until : null };
    }

    async Task<SyncOutcome> PutOffAsync(
        Lease lease, StripeAnswer<StripeCustomer> answer, Func<CancellationToken, ValueTask<NpgsqlConnection>> open, CancellationToken cancellationToken)
    {
        var now = clock.GetUtcNow();
        var until = now + SyncRules.Backoff(lease.Failures + 1, answer.RetryAfter, Random.Shared.NextDouble(), options);
        var connection = await open(cancellationToken);
        await StripeCustomerTable.PostponeAsync(connection, lease, until, cancellationToken);
        var armed = await StripeCustomerTable.ArmAsync(connection, lease.CustomerId, until, now, cancellationToken);
        PutOff(log, lease.CustomerId, answer.Reason ?? "", (until - now).TotalSeconds);
        return new SyncOutcome(SyncEnd.PutOff) { Fetch = SyncMeter.Word(answer.Result), Timer = armed ? until : null };
    }

    async Task<SyncOutcome> StoreAsync(Lease lease, StripeCustomer customer, NpgsqlConnection connection, CancellationToken cancellationToken)
    {
        var now = clock.GetUtcNow();
        var fetched = await DecideAsync(lease, customer, connection, cancellationToken);
        await options.ReachedAsync("sync: before store");
        var settledAt = now + SyncRules.Settle(lease.FetchedAt, lease.LetBeUntil, now, options);
        var stored = await StripeCustomerTable.StoreAsync(connection, lease, fetched, now, settledAt, options.Fenced, cancellationToken);
        if (stored is null)
            return new SyncOutcome(SyncEnd.Superseded) { Fetch = "superseded" };

        await options.ReachedAsync("sync: after store");
        Entitlements? entitlements = null;
        var drift = stored.Differs && fetched.OrgId is not null ? stored.Suspect : null;
        if (fetched.OrgId is { } orgId)
        {
            entitlements = await EntitlementTable.RecomputeAsync(
                connection, orgId, plans, now, verified: true, stored.Suspect is null ? "stripe" : "reconciliation",
                stored.LastEvent ?? stored.Suspect ?? lease.CustomerId, cancellationToken);
            if (drift is not null)
                await ReconciliationTable.AuditDriftAsync(connection, now, orgId, lease.CustomerId, drift, cancellationToken);
        }

        await options.ReachedAsync("sync: after recompute");
        // What was marked since is not in what was fetched.
        var again = stored.Dirty > lease.Dirty && await StripeCustomerTable.ArmAsync(connection, lease.CustomerId, settledAt, now, cancellationToken);
        if (fetched.EventStatus == "quarantined")
            Quarantined(log, lease.CustomerId, fetched.Problem!);
        return new SyncOutcome(fetched.EventStatus switch { "parked" => SyncEnd.Parked, "quarantined" => SyncEnd.Quarantined, _ => SyncEnd.Applied })
        {
            Fetch = customer.Canonical.Deleted ? "gone" : "fetched",
            Timer = again ? settledAt : null,
            Changed = entitlements is { Changed: true }
                ? new EntitlementsChanged { OrgId = entitlements.OrgId, Version = entitlements.Version, SubscriptionState = entitlements.Current.State, ChangedAt = now }
                : null,
            Drift = drift,
            ReceivedAt = fetched.OrgId is null ? [] : stored.ReceivedAt,
        };
    }

    internal static async Task<Fetched> DecideAsync(Lease lease, StripeCustomer customer, NpgsqlConnection connection, CancellationToken cancellationToken)
    {
        if (lease.OrgId is { } linked)
        {
            return new Fetched
            {
                Canonical = customer.Canonical,
                OrgId = linked,
                Problem = SyncRules.Contradiction(linked, customer.Claims),
                EventStatus = "applied",
            };
        }

        var link = SyncRules.Decide(customer.Claims);
        if (link.OrgId is { } orgId)
        {
            return await StripeCustomerTable.OrgAsync(connection, orgId, cancellationToken) switch
            {
                LinkedOrg.Exists => new Fetched { Canonical = customer.Canonical, OrgId = orgId, LinkedBy = link.By, EventStatus = "applied" },
                // Nothing of it is kept, its id neither.
                LinkedOrg.Purged => new Fetched { Problem = "purged", EventStatus = "ignored" },
                _ => new Fetched { Problem = $"link_conflict {orgId}", EventStatus = "quarantined" },
            };
        }

        // Nothing will ever say whose a deleted one was.
        return link.Conflict is { } conflict
            ? new Fetched { Problem = conflict, EventStatus = "quarantined" }
            : new Fetched { EventStatus = customer.Canonical.Deleted ? "ignored" : "parked" };
    }

    // Best effort: where it can't be done the lease ends by itself. The message's transaction has the row locked until it is rolled
    // back, which is after this: so back to where it had not.
    async Task ReleaseAsync(Lease lease, NpgsqlConnection? opened, string? problem)
    {
        try
        {
            if (opened is not null)
                await StripeCustomerTable.UndoStoreAsync(opened, CancellationToken.None);
            await StripeCustomerTable.ReleaseAsync(dataSource, lease, problem, CancellationToken.None);
        }
        catch (Exception exception) when (exception is NpgsqlException or TimeoutException or InvalidOperationException)
        {
            NotReleased(log, lease.CustomerId, exception.Message);
        }
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "{CustomerId} could not be fetched from Stripe ({Reason}); it is tried again in {Seconds:0.0} s")]
    static partial void PutOff(ILogger logger, string customerId, string reason, double seconds);

    [LoggerMessage(Level = LogLevel.Warning, Message = "{CustomerId} belongs to no organization for sure ({Problem}); its events are quarantined")]
    static partial void Quarantined(ILogger logger, string customerId, string problem);

    [LoggerMessage(Level = LogLevel.Debug, Message = "The lease of {CustomerId} could not be ended ({Reason}); it ends by itself")]
    static partial void NotReleased(ILogger logger, string customerId, string reason);
}

/// <summary>Stripe rejected the question itself. No repetition makes it a better one.</summary>
sealed class StripeRejectedException(string id, string reason) : UnprocessableMessageException($"Stripe rejects what it is asked of {id}: {reason}.")
{
    public string Reason => reason;
}
