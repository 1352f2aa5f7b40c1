namespace Pulse.StripeDouble.State;

/// <summary>What happens to subscriptions: by somebody's doing, and by time alone.</summary>
public sealed partial class Account
{
    /// <summary>A subscription as it now is.</summary>
    public Subscription Subscription(string id) => Do(() => Subscriptions.Get(id, "subscription"));

    /// <summary>The subscriptions of a customer, the oldest first, ended ones too.</summary>
    public IReadOnlyList<Subscription> SubscriptionsOf(string customerId) => Do(() => Subscriptions.Of(customerId).ToList());

    /// <summary>A new subscription, brought into any status the way it would get there. A price that is unknown is made.</summary>
    /// <param name="customerId">Whose.</param>
    /// <param name="priceId">Of its one item.</param>
    /// <param name="status">trialing, active, incomplete, past_due, unpaid, paused, canceled, incomplete_expired, or any word; null: active, or trialing where there are trial days.</param>
    /// <param name="trialDays">How long its trial is.</param>
    /// <param name="orgId"><c>metadata.org_id</c>.</param>
    /// <param name="metadata">Other metadata.</param>
    /// <param name="withoutPaymentMethod">create_invoice, pause or cancel at the end of a trial without a card.</param>
    public Subscription Subscribe(string customerId, string priceId, string? status = null, int? trialDays = null, string? orgId = null,
        IReadOnlyDictionary<string, string>? metadata = null, string withoutPaymentMethod = "create_invoice") => Do(() =>
    {
        Alive(customerId);
        AddPrice(priceId);
        var trial = trialDays ?? (status == "trialing" ? 14 : (int?)null);
        var subscription = Begin(customerId, [priceId], trial, With(metadata, "org_id", orgId), withoutPaymentMethod);
        status ??= trial is null ? "active" : "trialing";
        return status switch
        {
            "trialing" => subscription,
            "active" when trial is not null => EndTrial(subscription.Id),
            "active" => FirstPayment(subscription, succeeds: true),
            "incomplete" => FirstPayment(subscription, succeeds: false),
            "incomplete_expired" => GiveUp(FirstPayment(subscription, succeeds: false)),
            "past_due" => FailPayment(FirstPayment(subscription, succeeds: true).Id),
            "unpaid" => MarkUnpaid(FirstPayment(subscription, succeeds: true).Id),
            "paused" => Pause(FirstPayment(subscription, succeeds: true).Id),
            "canceled" => End(FirstPayment(subscription, succeeds: true)),
            _ => Become(FirstPayment(subscription, succeeds: true), status),
        };
    });

    /// <summary>The trial ends now: paid and active, or what was agreed on for a trial without a card.</summary>
    public Subscription EndTrial(string id) => Do(() => EndTrial(Subscriptions.Get(id, "subscription")));

    /// <summary>trial_will_end is said now, whenever that is.</summary>
    public Subscription SayTrialWillEnd(string id) => Do(() => SayTrialWillEnd(Subscriptions.Get(id, "subscription")));

    /// <summary>A period begins and its payment fails, leaving an open invoice; where one is open already, another try of it fails.</summary>
    public Subscription FailPayment(string id) => Do(() =>
    {
        var subscription = Subscriptions.Put(Subscriptions.Get(id, "subscription") with { Pays = false });
        if (Open(subscription).FirstOrDefault() is not { } owed)
            return Renew(subscription with { PeriodEnd = Now });

        Decline(owed);
        return Become(subscription, "past_due");
    });

    /// <summary>Whatever is owed is paid, and what comes will be.</summary>
    public Subscription Pay(string id) => Do(() =>
    {
        var subscription = Subscriptions.Put(Subscriptions.Get(id, "subscription") with { Pays = true });
        foreach (var invoice in Open(subscription).ToList())
            Settle(invoice);

        return Become(subscription, "active");
    });

    /// <summary>From now on payments go through, or don't. Nothing happens yet.</summary>
    public Subscription SetPays(string id, bool pays) => Do(() => Subscriptions.Put(Subscriptions.Get(id, "subscription") with { Pays = pays }));

    /// <summary>Stripe has given up to collect what is owed.</summary>
    public Subscription MarkUnpaid(string id) => Do(() =>
    {
        var subscription = Subscriptions.Get(id, "subscription");
        if (!Open(subscription).Any())
            subscription = FailPayment(id);

        return Become(subscription, "unpaid");
    });

    /// <summary>Payments are not collected for a while; the status stays.</summary>
    public Subscription PauseCollection(string id, string behavior = "void", DateTimeOffset? resumesAt = null) => Do(() =>
        Change(Subscriptions.Get(id, "subscription"), subscription => subscription with { PauseBehavior = behavior, PauseResumesAt = resumesAt }));

    /// <summary>Payments are collected again.</summary>
    public Subscription ResumeCollection(string id) => Do(() =>
        Change(Subscriptions.Get(id, "subscription"), subscription => subscription with { PauseBehavior = null, PauseResumesAt = null }));

    /// <summary>The subscription itself is paused: pause_requested, trial_end_without_payment_method, first_payment_failure, final_payment_failure, system.</summary>
    public Subscription Pause(string id, string reason = "pause_requested") => Do(() => Pause(Subscriptions.Get(id, "subscription"), reason));

    /// <summary>It goes on, in a period that begins now.</summary>
    public Subscription Resume(string id) => Do(() =>
    {
        var subscription = Change(Subscriptions.Get(id, "subscription"), paused =>
            paused with { Status = "active", PauseReason = null, PausedAt = null, PeriodStart = Now, PeriodEnd = Now.AddMonths(1) });
        Emit("customer.subscription.resumed", subscription);
        return subscription;
    });

    /// <summary>It ends now.</summary>
    public Subscription Cancel(string id) => Do(() =>
    {
        var subscription = Subscriptions.Get(id, "subscription");
        return subscription.HasEnded ? throw StripeException.Missing("subscription", id) : End(subscription);
    });

    /// <summary>It ends with its period, or after all it doesn't.</summary>
    public Subscription CancelAtPeriodEnd(string id, bool cancel = true) => Do(() => Change(Subscriptions.Get(id, "subscription"), subscription => subscription with
    {
        CancelAtPeriodEnd = cancel,
        CancelAt = cancel ? subscription.PeriodEnd : null,
        CanceledAt = cancel ? Now : null,
    }));

    /// <summary>It ends at a time, or at none.</summary>
    public Subscription CancelAt(string id, DateTimeOffset? at) => Do(() => Change(Subscriptions.Get(id, "subscription"), subscription => subscription with
    {
        CancelAtPeriodEnd = false,
        CancelAt = at,
        CanceledAt = at is null ? null : Now,
    }));

    /// <summary>Its items are these prices from now on; one that is unknown is made.</summary>
    public Subscription ChangePrice(string id, params IReadOnlyList<string> priceIds) => Do(() =>
    {
        foreach (var price in priceIds)
            AddPrice(price);

        return Change(Subscriptions.Get(id, "subscription"), subscription => subscription with { Items = [.. priceIds.Select(price => new SubscriptionItem(NewId("si_"), price))] });
    });

    /// <summary>Metadata is merged, and an empty value takes its name away.</summary>
    public Subscription UpdateSubscription(string id, IReadOnlyDictionary<string, string> metadata) => Do(() =>
        Change(Subscriptions.Get(id, "subscription"), subscription => subscription with { Metadata = Merged(subscription.Metadata, metadata) }));

    /// <summary>Any status, also one that nobody has heard of.</summary>
    public Subscription SetStatus(string id, string status) => Do(() => Become(Subscriptions.Get(id, "subscription"), status));

    Subscription Begin(string customerId, IReadOnlyList<string> priceIds, int? trialDays, IReadOnlyDictionary<string, string> metadata, string withoutPaymentMethod)
    {
        var end = trialDays is { } days ? Now.AddDays(days) : Now.AddMonths(1);
        var subscription = Subscriptions.Put(new Subscription
        {
            Id = NewId("sub_"),
            Created = Now,
            CustomerId = customerId,
            Status = trialDays is null ? "incomplete" : "trialing",
            Items = [.. priceIds.Select(price => new SubscriptionItem(NewId("si_"), price))],
            Metadata = metadata,
            PeriodStart = Now,
            PeriodEnd = end,
            TrialStart = trialDays is null ? null : Now,
            TrialEnd = trialDays is null ? null : end,
            WithoutPaymentMethod = withoutPaymentMethod,
            Pays = withoutPaymentMethod == "create_invoice",
        });
        Emit("customer.subscription.created", subscription);
        if (trialDays is null)
            return subscription;

        var free = Settle(Issue(subscription, "subscription_create", free: true));
        return Subscriptions.Put(subscription with { LatestInvoiceId = free.Id });
    }

    Subscription FirstPayment(Subscription subscription, bool succeeds)
    {
        var invoice = Issue(subscription, "subscription_create");
        subscription = Subscriptions.Put(subscription with { LatestInvoiceId = invoice.Id, Pays = succeeds });
        if (succeeds)
        {
            Settle(invoice);
            return Become(subscription, "active");
        }

        Decline(invoice);
        return subscription;
    }

    Subscription EndTrial(Subscription subscription)
    {
        if (!subscription.Pays && subscription.WithoutPaymentMethod == "pause")
            return Pause(subscription with { TrialEnd = Now, PeriodEnd = Now }, "trial_end_without_payment_method");
        if (!subscription.Pays && subscription.WithoutPaymentMethod == "cancel")
            return End(subscription with { TrialEnd = Now });

        return Renew(subscription with { TrialEnd = Now, PeriodEnd = Now });
    }

    Subscription SayTrialWillEnd(Subscription subscription)
    {
        subscription = Subscriptions.Put(subscription with { WillEndWasSaid = true });
        Emit("customer.subscription.trial_will_end", subscription);
        return subscription;
    }

    // The state that is passed in need not have been put: it is what the new one is made from.
    Subscription Renew(Subscription subscription)
    {
        var next = subscription with { PeriodStart = subscription.PeriodEnd, PeriodEnd = subscription.PeriodEnd.AddMonths(1) };
        if (subscription.Status is "unpaid")
            return Change(subscription, _ => next);

        var invoice = Issue(subscription, "subscription_cycle");
        next = next with { LatestInvoiceId = invoice.Id };
        switch (subscription.PauseBehavior)
        {
            case "void":
                Void(invoice);
                return Change(subscription, _ => next);
            case "mark_uncollectible":
                WriteOff(invoice);
                return Change(subscription, _ => next);
            case "keep_as_draft":
                Invoices.Put(invoice with { Status = "draft", FinalizedAt = null });
                return Change(subscription, _ => next);
        }

        if (subscription.Pays)
            Settle(invoice);
        else
            Decline(invoice);
        return Change(subscription, _ => next with { Status = subscription.Pays && !Open(subscription).Any() ? "active" : "past_due" });
    }

    Subscription Pause(Subscription subscription, string reason)
    {
        subscription = Change(subscription, running => running with { Status = "paused", PauseReason = reason, PausedAt = Now });
        Emit("customer.subscription.paused", subscription);
        return subscription;
    }

    Subscription GiveUp(Subscription subscription)
    {
        foreach (var invoice in Open(subscription).ToList())
            Void(invoice);

        return Change(subscription, incomplete => incomplete with { Status = "incomplete_expired", EndedAt = Now });
    }

    Subscription End(Subscription subscription)
    {
        subscription = Subscriptions.Put(subscription with { Status = "canceled", CanceledAt = subscription.CanceledAt ?? Now, EndedAt = Now, PauseReason = null });
        Emit("customer.subscription.deleted", subscription);
        return subscription;
    }

    Subscription Become(Subscription subscription, string status) =>
        subscription.Status == status ? subscription : Change(subscription, before => before with { Status = status, PauseReason = null, PausedAt = null });

    Subscription Change(Subscription subscription, Func<Subscription, Subscription> change)
    {
        var before = Shown(Subscriptions.Get(subscription.Id, "subscription"));
        var changed = Subscriptions.Put(change(subscription));
        Emit("customer.subscription.updated", changed, before);
        return changed;
    }

    /// <summary>Its next boundary has come.</summary>
    void Reach(Subscription subscription)
    {
        if (subscription.CancelAt <= Now)
            End(subscription);
        else if (subscription.PauseResumesAt <= Now)
            ResumeCollection(subscription.Id);
        else if (subscription.Status == "incomplete")
            GiveUp(subscription);
        else if (subscription is { Status: "trialing" } && subscription.PeriodEnd > Now)
            SayTrialWillEnd(subscription);
        else if (subscription.Status == "trialing")
            EndTrial(subscription);
        else
            Renew(subscription);
    }
}
