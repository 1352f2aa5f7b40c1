using System.Text.Json.Nodes;

namespace Pulse.StripeDouble.State;

/// <summary>An invoice of a subscription: draft, open, paid, void or uncollectible.</summary>
public sealed record Invoice : Resource
{
    public required string CustomerId { get; init; }
    public required string SubscriptionId { get; init; }
    public required string Status { get; init; }
    public required long AmountDue { get; init; }
    public required string BillingReason { get; init; }
    public string Currency { get; init; } = "usd";
    public int Attempts { get; init; }
    public DateTimeOffset? FinalizedAt { get; init; }

    /// <summary>Only of one that is sent to be paid by hand.</summary>
    public DateTimeOffset? DueDate { get; init; }
    public DateTimeOffset? PaidAt { get; init; }
    public DateTimeOffset? VoidedAt { get; init; }
    public DateTimeOffset? UncollectibleAt { get; init; }
    public DateTimeOffset? NextAttempt { get; init; }
    public string? ChargeId { get; init; }

    public override string Owner => CustomerId;

    internal override JsonObject ToJson(View view)
    {
        var subscription = view.Account.Subscriptions.Find(SubscriptionId);
        var json = new JsonObject
        {
            ["id"] = Id,
            ["object"] = "invoice",
            ["amount_due"] = AmountDue,
            ["amount_paid"] = Status == "paid" ? AmountDue : 0,
            ["amount_remaining"] = Status == "paid" ? 0 : AmountDue,
            ["attempt_count"] = Attempts,
            ["attempted"] = Attempts > 0,
            ["auto_advance"] = Status is "draft" or "open",
            ["billing_reason"] = BillingReason,
            ["collection_method"] = DueDate is null ? "charge_automatically" : "send_invoice",
            ["created"] = View.Seconds(Created),
            ["currency"] = Currency,
            ["customer"] = CustomerId,
            ["due_date"] = View.Seconds(DueDate),
            ["effective_at"] = View.Seconds(FinalizedAt),
            ["hosted_invoice_url"] = FinalizedAt is null ? null : $"https://invoice.stripe.com/i/{Id}",
            ["lines"] = View.List($"/v1/invoices/{Id}/lines", [.. subscription?.Items.Select(item => Line(item, view)) ?? []]),
            ["livemode"] = view.Livemode,
            ["metadata"] = new JsonObject(),
            ["next_payment_attempt"] = View.Seconds(NextAttempt),
            ["number"] = FinalizedAt is null ? null : $"{Id[^8..].ToUpperInvariant()}-0001",
            ["period_end"] = View.Seconds(Created),
            ["period_start"] = View.Seconds(Created),
            ["status"] = Status,
            ["status_transitions"] = new JsonObject
            {
                ["finalized_at"] = View.Seconds(FinalizedAt),
                ["marked_uncollectible_at"] = View.Seconds(UncollectibleAt),
                ["paid_at"] = View.Seconds(PaidAt),
                ["voided_at"] = View.Seconds(VoidedAt),
            },
            ["subtotal"] = AmountDue,
            ["total"] = AmountDue,
        };

        var metadata = View.Map(subscription?.Metadata ?? new Dictionary<string, string>());
        if (view.Basil)
        {
            json["parent"] = new JsonObject
            {
                ["quote_details"] = null,
                ["subscription_details"] = new JsonObject { ["metadata"] = metadata, ["subscription"] = SubscriptionId },
                ["type"] = "subscription_details",
            };
        }
        else
        {
            json["charge"] = ChargeId;
            json["paid"] = Status == "paid";
            json["payment_intent"] = ChargeId is null ? null : $"pi_{ChargeId[3..]}";
            json["subscription"] = SubscriptionId;
            json["subscription_details"] = new JsonObject { ["metadata"] = metadata };
        }

        return json;
    }

    JsonObject Line(SubscriptionItem item, View view)
    {
        var price = view.Account.Prices.Find(item.PriceId);
        var json = new JsonObject
        {
            ["id"] = $"il_{item.Id[3..]}",
            ["object"] = "line_item",
            ["amount"] = (price?.UnitAmount ?? 0) * item.Quantity,
            ["currency"] = Currency,
            ["description"] = price?.LookupKey,
            ["invoice"] = Id,
            ["livemode"] = view.Livemode,
            ["quantity"] = item.Quantity,
        };
        if (view.Basil)
        {
            json["pricing"] = new JsonObject { ["price_details"] = new JsonObject { ["price"] = item.PriceId, ["product"] = price?.ProductId }, ["type"] = "price_details" };
        }
        else
        {
            json["price"] = price?.ToJson(view);
            json["subscription"] = SubscriptionId;
        }

        return json;
    }
}

public sealed partial class Account
{
    /// <summary>An invoice as it now is.</summary>
    public Invoice Invoice(string id) => Do(() => Invoices.Get(id, "invoice"));

    /// <summary>The invoices of a subscription that are open, the oldest first.</summary>
    public IReadOnlyList<Invoice> OpenInvoices(string subscriptionId) => Do(() => Open(Subscriptions.Get(subscriptionId, "subscription")).ToList());

    /// <summary>An invoice to be paid by hand until it is due. The subscription stays as it is.</summary>
    public Invoice SendInvoice(string subscriptionId, TimeSpan dueIn) => Do(() =>
        Issue(Subscriptions.Get(subscriptionId, "subscription"), "manual", dueDate: Now + dueIn));

    /// <summary>An invoice was not paid when it was due: its subscription is past due.</summary>
    public Invoice Overdue(string invoiceId) => Do(() =>
    {
        var invoice = Invoices.Get(invoiceId, "invoice");
        Emit("invoice.overdue", invoice);
        Become(Subscriptions.Get(invoice.SubscriptionId, "subscription"), "past_due");
        return invoice;
    });

    /// <summary>An open invoice is declared void: nobody owes it.</summary>
    public Invoice VoidInvoice(string invoiceId) => Do(() => Void(Invoices.Get(invoiceId, "invoice")));

    /// <summary>An open invoice is written off.</summary>
    public Invoice MarkUncollectible(string invoiceId) => Do(() => WriteOff(Invoices.Get(invoiceId, "invoice")));

    IEnumerable<Invoice> Open(Subscription subscription) =>
        Invoices.Of(subscription.CustomerId).Where(invoice => invoice.SubscriptionId == subscription.Id && invoice.Status == "open");

    /// <summary>A new invoice over the subscription's items, made and finalized; a free one is a trial's.</summary>
    Invoice Issue(Subscription subscription, string reason, bool free = false, DateTimeOffset? dueDate = null)
    {
        var invoice = Invoices.Put(new Invoice
        {
            Id = NewId("in_"),
            Created = Now,
            CustomerId = subscription.CustomerId,
            SubscriptionId = subscription.Id,
            Status = "draft",
            AmountDue = free ? 0 : subscription.Items.Sum(item => item.Quantity * (Prices.Find(item.PriceId)?.UnitAmount ?? 0)),
            BillingReason = reason,
            DueDate = dueDate,
        });
        Emit("invoice.created", invoice);
        invoice = Invoices.Put(invoice with { Status = "open", FinalizedAt = Now });
        Emit("invoice.finalized", invoice);
        return invoice;
    }

    Invoice Settle(Invoice invoice)
    {
        var charge = invoice.AmountDue > 0 ? Charged(invoice, paid: true) : null;
        invoice = Invoices.Put(invoice with { Status = "paid", PaidAt = Now, Attempts = invoice.Attempts + 1, NextAttempt = null, ChargeId = charge?.Id });
        Emit("invoice.paid", invoice);
        Emit("invoice.payment_succeeded", invoice);
        return invoice;
    }

    Invoice Decline(Invoice invoice)
    {
        var charge = Charged(invoice, paid: false);
        invoice = Invoices.Put(invoice with { Attempts = invoice.Attempts + 1, NextAttempt = Now + TimeSpan.FromDays(3), ChargeId = charge.Id });
        Emit("invoice.payment_failed", invoice);
        return invoice;
    }

    Invoice Void(Invoice invoice)
    {
        invoice = Invoices.Put(invoice with { Status = "void", VoidedAt = Now, NextAttempt = null });
        Emit("invoice.voided", invoice);
        return invoice;
    }

    Invoice WriteOff(Invoice invoice)
    {
        invoice = Invoices.Put(invoice with { Status = "uncollectible", UncollectibleAt = Now, NextAttempt = null });
        Emit("invoice.marked_uncollectible", invoice);
        return invoice;
    }
}
