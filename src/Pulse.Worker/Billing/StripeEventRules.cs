using System.Collections.Frozen;
using System.Text.Json;
using Pulse.Worker.Billing.Stripe;

namespace Pulse.Worker.Billing;

/// <summary>What an event is about.</summary>
abstract record EventSubject
{
    /// <summary>A customer of which something may have changed.</summary>
    public sealed record Customer(string Id) : EventSubject;

    /// <summary>An object whose customer only Stripe can tell: its path.</summary>
    public sealed record Related(string Path) : EventSubject;

    /// <summary>A price or a product: everybody who has it.</summary>
    public sealed record Sold(string Id) : EventSubject;

    /// <summary>Nothing that billing reads.</summary>
    public sealed record Nothing(string Why) : EventSubject;
}

/// <summary>Decides by an event's type whom it is about. What else it says is a hint, and is not read.</summary>
static class StripeEventRules
{
    /// <summary>The outcomes that are counted.</summary>
    public static readonly string[] Outcomes = ["marked", "twin", "repeat", "ignored", "wrong_livemode", "no_customer", "put_off"];

    /// <summary>The types that mark a customer, or those who have a price or product; each has a thin twin whose type begins with <c>v1.</c></summary>
    public static readonly FrozenSet<string> Types = new[]
    {
        "checkout.session.completed", "checkout.session.async_payment_succeeded", "checkout.session.async_payment_failed", "checkout.session.expired",
        "customer.updated", "customer.deleted",
        "customer.subscription.created", "customer.subscription.updated", "customer.subscription.deleted", "customer.subscription.paused",
        "customer.subscription.resumed", "customer.subscription.trial_will_end", "customer.subscription.pending_update_applied",
        "customer.subscription.pending_update_expired",
        "invoice.finalized", "invoice.paid", "invoice.payment_failed", "invoice.payment_action_required", "invoice.overdue", "invoice.voided",
        "invoice.marked_uncollectible",
        "charge.refunded", "charge.dispute.created", "charge.dispute.closed", "refund.created", "refund.updated", "refund.failed",
        "entitlements.active_entitlement_summary.updated",
        "product.updated", "price.updated",
    }.ToFrozenSet(StringComparer.Ordinal);

    // Where an object of a thin event's related_object.type, or one that another names, is read. From here and not from the event's
    // url: an event says what has changed, not where to go with the key.
    static readonly FrozenDictionary<string, string> Paths = new Dictionary<string, string>
    {
        ["checkout.session"] = "/v1/checkout/sessions/",
        ["subscription"] = "/v1/subscriptions/",
        ["invoice"] = "/v1/invoices/",
        ["charge"] = "/v1/charges/",
        ["dispute"] = "/v1/disputes/",
        ["refund"] = "/v1/refunds/",
        ["payment_intent"] = "/v1/payment_intents/",
    }.ToFrozenDictionary(StringComparer.Ordinal);

    /// <summary>The label that a type is counted under: the type that its thin twin has, too, or <c>other</c>.</summary>
    public static string Label(string type) => Types.Contains(Plain(type)) ? Plain(type) : "other";

    /// <summary>Whether anything happens for a type.</summary>
    public static bool IsOfInterest(string type) => Types.Contains(Plain(type));

    /// <summary>Whom an event is about.</summary>
    /// <param name="type">As Stripe sent it, with or without <c>v1.</c></param>
    /// <param name="body">The event.</param>
    public static EventSubject Subject(string type, ReadOnlyMemory<byte> body)
    {
        if (!IsOfInterest(type))
            return new EventSubject.Nothing("ignored");

        JsonDocument document;
        try
        {
            document = JsonDocument.Parse(body);
        }
        catch (JsonException)
        {
            return new EventSubject.Nothing("ignored");
        }

        using (document)
        {
            var root = document.RootElement;
            var about = root.Member("data").Member("object");
            // A thin event names what it is about, and no more.
            if (about.ValueKind is not JsonValueKind.Object)
                return Thin(Plain(type), root);

            if (Plain(type) is "product.updated" or "price.updated")
                return about.Text("id") is { } sold ? new EventSubject.Sold(sold) : new EventSubject.Nothing("no_customer");

            if (Plain(type) is "customer.updated" or "customer.deleted")
                return about.Text("id") is { } customer ? new EventSubject.Customer(customer) : new EventSubject.Nothing("no_customer");

            return Of(about);
        }
    }

    /// <summary>Whose an object is: what it says, or who can say it.</summary>
    public static EventSubject Of(JsonElement about)
    {
        if (about.Text("object") == "customer" && about.Text("id") is { } itself)
            return new EventSubject.Customer(itself);
        if (about.Text("object") == "event")
            about = about.Member("data").Member("object");
        if (about.Id("customer") is { } customer)
            return new EventSubject.Customer(customer);

        // Disputes and refunds have none, but their charge has.
        foreach (var name in new[] { "charge", "payment_intent", "invoice", "subscription" })
        {
            var member = about.Member(name);
            if (member.ValueKind is JsonValueKind.Object && member.Id("customer") is { } theirs)
                return new EventSubject.Customer(theirs);
            if (about.Id(name) is { } id)
                return new EventSubject.Related(Paths[name] + Uri.EscapeDataString(id));
        }

        return new EventSubject.Nothing("no_customer");
    }

    static EventSubject Thin(string type, JsonElement root)
    {
        var related = root.Member("related_object");
        if (related.Text("id") is not { } id)
        {
            // A summary of entitlements has no id to be named by. Its snapshot says whose it is.
            return root.Text("snapshot_event") is { } snapshot
                ? new EventSubject.Related("/v1/events/" + Uri.EscapeDataString(snapshot))
                : new EventSubject.Nothing("no_customer");
        }

        return related.Text("type") switch
        {
            "customer" => new EventSubject.Customer(id),
            "price" or "product" => new EventSubject.Sold(id),
            { } name when Paths.TryGetValue(name, out var path) => new EventSubject.Related(path + Uri.EscapeDataString(id)),
            _ when type is "customer.updated" or "customer.deleted" => new EventSubject.Customer(id),
            _ => new EventSubject.Nothing("no_customer"),
        };
    }

    static string Plain(string type) => type.StartsWith("v1.", StringComparison.Ordinal) ? type[3..] : type;
}
