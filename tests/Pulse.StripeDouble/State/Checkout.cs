using System.Text.Json.Nodes;

namespace Pulse.StripeDouble.State;

/// <summary>A Checkout page: open, complete or expired.</summary>
public sealed record CheckoutSession : Resource
{
    public string? CustomerId { get; init; }
    public string? ClientReferenceId { get; init; }
    public string? Email { get; init; }
    public IReadOnlyDictionary<string, string> Metadata { get; init; } = new Dictionary<string, string>();

    /// <summary>What the subscription gets.</summary>
    public IReadOnlyDictionary<string, string> SubscriptionMetadata { get; init; } = new Dictionary<string, string>();
    public int? TrialDays { get; init; }
    public required IReadOnlyList<string> PriceIds { get; init; }
    public string Status { get; init; } = "open";
    public string PaymentStatus { get; init; } = "unpaid";
    public string? SubscriptionId { get; init; }
    public string? InvoiceId { get; init; }
    public string? SuccessUrl { get; init; }

    public override string? Owner => CustomerId;

    internal override JsonObject ToJson(View view) => new()
    {
        ["id"] = Id,
        ["object"] = "checkout.session",
        ["amount_total"] = PriceIds.Sum(price => view.Account.Prices.Find(price)?.UnitAmount ?? 0),
        ["cancel_url"] = null,
        ["client_reference_id"] = ClientReferenceId,
        ["created"] = View.Seconds(Created),
        ["currency"] = "usd",
        ["customer"] = CustomerId,
        ["customer_details"] = Email is null ? null : new JsonObject { ["email"] = Email },
        ["customer_email"] = Email,
        ["expires_at"] = View.Seconds(Created.AddHours(24)),
        ["invoice"] = InvoiceId,
        ["livemode"] = view.Livemode,
        ["metadata"] = View.Map(Metadata),
        ["mode"] = "subscription",
        ["payment_intent"] = null,
        ["payment_status"] = PaymentStatus,
        ["status"] = Status,
        ["subscription"] = SubscriptionId,
        ["success_url"] = SuccessUrl,
        ["ui_mode"] = "hosted",
        ["url"] = Status == "open" ? $"https://checkout.stripe.com/c/pay/{Id}" : null,
    };
}

public sealed partial class Account
{
    /// <summary>A Checkout page as it now is.</summary>
    public CheckoutSession Session(string id) => Do(() => Sessions.Get(id, "checkout.session"));

    /// <summary>Opens a Checkout page for a subscription. A price that is unknown is made.</summary>
    /// <param name="priceId">What is bought.</param>
    /// <param name="clientReferenceId">The organization, as <c>client_reference_id</c>.</param>
    /// <param name="customerId">A customer that is there already; otherwise completing makes one.</param>
    /// <param name="email">Of a customer that isn't.</param>
    /// <param name="orgId">The organization, as <c>subscription_data.metadata.org_id</c>.</param>
    /// <param name="trialDays">The length of a trial.</param>
    /// <param name="metadata">The page's own.</param>
    public CheckoutSession OpenCheckout(string priceId, string? clientReferenceId = null, string? customerId = null, string? email = null,
        string? orgId = null, int? trialDays = null, IReadOnlyDictionary<string, string>? metadata = null) => Do(() =>
    {
        if (customerId is not null)
            Alive(customerId);
        AddPrice(priceId);
        return OpenCheckout(new CheckoutSession
        {
            Id = NewId("cs_test_"),
            Created = Now,
            CustomerId = customerId,
            ClientReferenceId = clientReferenceId,
            Email = email,
            Metadata = metadata ?? new Dictionary<string, string>(),
            SubscriptionMetadata = With(null, "org_id", orgId),
            TrialDays = trialDays,
            PriceIds = [priceId],
        });
    });

    internal CheckoutSession OpenCheckout(CheckoutSession session) => Sessions.Put(session);

    /// <summary>The customer has filled in the page: customer and subscription are there. A slow payment leaves it incomplete until it is settled.</summary>
    public CheckoutSession CompleteCheckout(string sessionId, bool slowPayment = false) => Do(() =>
    {
        var session = Sessions.Get(sessionId, "checkout.session");
        if (session.Status != "open")
            throw StripeException.Invalid($"This Checkout Session is {session.Status}.");

        var customer = session.CustomerId ?? CreateCustomer(session.Email).Id;
        // It gets its owner only now, and with it its place among the owner's.
        Sessions.Remove(session);
        session = Sessions.Put(session with { CustomerId = customer, Sequence = 0 });

        var subscription = Begin(customer, session.PriceIds, session.TrialDays, session.SubscriptionMetadata, "create_invoice");
        if (session.TrialDays is null)
        {
            if (slowPayment)
                subscription = Subscriptions.Put(subscription with { LatestInvoiceId = Issue(subscription, "subscription_create").Id });
            else
                subscription = FirstPayment(subscription, succeeds: true);
        }

        session = Sessions.Put(session with
        {
            Status = "complete",
            PaymentStatus = session.TrialDays is not null ? "no_payment_required" : slowPayment ? "unpaid" : "paid",
            SubscriptionId = subscription.Id,
            InvoiceId = subscription.LatestInvoiceId,
        });
        Emit("checkout.session.completed", session);
        return session;
    });

    /// <summary>A slow payment went through, or didn't.</summary>
    public CheckoutSession SettleCheckout(string sessionId, bool paid) => Do(() =>
    {
        var session = Sessions.Get(sessionId, "checkout.session");
        var subscription = Subscriptions.Get(session.SubscriptionId, "subscription");
        if (paid)
        {
            Pay(subscription.Id);
            session = Sessions.Put(session with { PaymentStatus = "paid" });
            Emit("checkout.session.async_payment_succeeded", session);
        }
        else
        {
            foreach (var invoice in Open(subscription).ToList())
                Decline(invoice);
            Emit("checkout.session.async_payment_failed", session);
        }

        return session;
    });

    /// <summary>Nobody filled in the page.</summary>
    public CheckoutSession ExpireCheckout(string sessionId) => Do(() =>
    {
        var session = Sessions.Put(Sessions.Get(sessionId, "checkout.session") with { Status = "expired" });
        Emit("checkout.session.expired", session);
        return session;
    });
}
