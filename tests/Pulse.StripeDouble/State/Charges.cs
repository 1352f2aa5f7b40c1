using System.Text.Json.Nodes;

namespace Pulse.StripeDouble.State;

/// <summary>A payment, or a try.</summary>
public sealed record Charge : Resource
{
    public required string CustomerId { get; init; }

    /// <summary>Shown to older versions only: since basil a charge doesn't name its invoice.</summary>
    public string? InvoiceId { get; init; }
    public required long Amount { get; init; }
    public long AmountRefunded { get; init; }
    public string Currency { get; init; } = "usd";
    public bool Disputed { get; init; }
    public bool Paid { get; init; } = true;

    public override string Owner => CustomerId;

    internal override JsonObject ToJson(View view)
    {
        var json = new JsonObject
        {
            ["id"] = Id,
            ["object"] = "charge",
            ["amount"] = Amount,
            ["amount_captured"] = Paid ? Amount : 0,
            ["amount_refunded"] = AmountRefunded,
            ["captured"] = Paid,
            ["created"] = View.Seconds(Created),
            ["currency"] = Currency,
            ["customer"] = CustomerId,
            ["disputed"] = Disputed,
            ["failure_code"] = Paid ? null : "card_declined",
            ["livemode"] = view.Livemode,
            ["metadata"] = new JsonObject(),
            ["paid"] = Paid,
            ["payment_intent"] = $"pi_{Id[3..]}",
            ["refunded"] = AmountRefunded == Amount && Amount > 0,
            ["status"] = Paid ? "succeeded" : "failed",
        };
        if (!view.Basil)
            json["invoice"] = InvoiceId;

        return json;
    }
}

/// <summary>Money given back.</summary>
public sealed record Refund : Resource
{
    public required string CustomerId { get; init; }
    public required string ChargeId { get; init; }
    public required long Amount { get; init; }
    public string Currency { get; init; } = "usd";
    public string Status { get; init; } = "succeeded";

    public override string Owner => CustomerId;

    internal override JsonObject ToJson(View view) => new()
    {
        ["id"] = Id,
        ["object"] = "refund",
        ["amount"] = Amount,
        ["charge"] = ChargeId,
        ["created"] = View.Seconds(Created),
        ["currency"] = Currency,
        ["metadata"] = new JsonObject(),
        ["payment_intent"] = $"pi_{ChargeId[3..]}",
        ["reason"] = "requested_by_customer",
        ["status"] = Status,
    };
}

/// <summary>A payment that the customer's bank questions. It names its charge, but not its customer.</summary>
public sealed record Dispute : Resource
{
    public required string CustomerId { get; init; }
    public required string ChargeId { get; init; }
    public required long Amount { get; init; }
    public string Currency { get; init; } = "usd";
    public string Status { get; init; } = "needs_response";

    public override string Owner => CustomerId;

    internal override JsonObject ToJson(View view) => new()
    {
        ["id"] = Id,
        ["object"] = "dispute",
        ["amount"] = Amount,
        ["charge"] = ChargeId,
        ["created"] = View.Seconds(Created),
        ["currency"] = Currency,
        ["is_charge_refundable"] = false,
        ["livemode"] = view.Livemode,
        ["metadata"] = new JsonObject(),
        ["payment_intent"] = $"pi_{ChargeId[3..]}",
        ["reason"] = "general",
        ["status"] = Status,
    };
}

public sealed partial class Account
{
    /// <summary>The last payment of a customer.</summary>
    public Charge LastCharge(string customerId) => Do(() =>
        Charges.Of(customerId).LastOrDefault(charge => charge.Paid) ?? throw StripeException.Missing("charge", "of " + customerId));

    /// <summary>Gives back a payment, or a part of it.</summary>
    public Refund Refund(string chargeId, long? amount = null) => Do(() =>
    {
        var charge = Charges.Get(chargeId, "charge");
        var given = amount ?? charge.Amount - charge.AmountRefunded;
        var before = Shown(charge);
        charge = Charges.Put(charge with { AmountRefunded = charge.AmountRefunded + given });
        var refund = Refunds.Put(new Refund { Id = NewId("re_"), Created = Now, CustomerId = charge.CustomerId, ChargeId = charge.Id, Amount = given, Currency = charge.Currency });
        Emit("charge.refunded", charge, before);
        Emit("refund.created", refund);
        return refund;
    });

    /// <summary>The customer's bank would not take a refund.</summary>
    public Refund FailRefund(string refundId) => Do(() =>
    {
        var refund = Refunds.Get(refundId, "refund");
        var before = Shown(refund);
        refund = Refunds.Put(refund with { Status = "failed" });
        Emit("refund.updated", refund, before);
        Emit("refund.failed", refund);
        return refund;
    });

    /// <summary>The customer's bank questions a payment.</summary>
    public Dispute Dispute(string chargeId) => Do(() =>
    {
        var charge = Charges.Put(Charges.Get(chargeId, "charge") with { Disputed = true });
        var dispute = Disputes.Put(new Dispute { Id = NewId("dp_"), Created = Now, CustomerId = charge.CustomerId, ChargeId = charge.Id, Amount = charge.Amount, Currency = charge.Currency });
        Emit("charge.dispute.created", dispute);
        return dispute;
    });

    /// <summary>The bank has decided.</summary>
    public Dispute CloseDispute(string disputeId, bool won) => Do(() =>
    {
        var dispute = Disputes.Get(disputeId, "dispute");
        var before = Shown(dispute);
        dispute = Disputes.Put(dispute with { Status = won ? "won" : "lost" });
        Emit("charge.dispute.closed", dispute, before);
        return dispute;
    });

    Charge Charged(Invoice invoice, bool paid)
    {
        var charge = Charges.Put(new Charge { Id = NewId("ch_"), Created = Now, CustomerId = invoice.CustomerId, InvoiceId = invoice.Id, Amount = invoice.AmountDue, Currency = invoice.Currency, Paid = paid });
        Emit(paid ? "charge.succeeded" : "charge.failed", charge);
        return charge;
    }
}
