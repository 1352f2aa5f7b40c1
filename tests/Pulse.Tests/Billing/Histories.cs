using FsCheck;
using FsCheck.Fluent;
using global::Pulse.StripeDouble.State;

namespace Pulse.Tests.Billing;

/// <summary>What can happen to a customer's subscriptions at Stripe.</summary>
public enum Change
{
    Subscribe, SubscribeTrialing, SubscribeIncomplete, TrialEnds, TrialWillEnd, PaymentFails, Paid, Unpaid, CollectionPaused, CollectionResumed,
    CancelsLater, CancelsAfterAll, Canceled, PlanChanged, MetadataChanged, Invoiced, InvoiceVoided, Entitled, Refunded, SecondPasses,
}

/// <summary>Generated histories of one customer.</summary>
public static class Histories
{
    /// <summary>The first thing is a subscription, or there would be nothing to happen to.</summary>
    public static Gen<Change[]> Any =>
        from first in Gen.Elements(Change.Subscribe, Change.SubscribeTrialing, Change.SubscribeIncomplete)
        from length in Gen.Choose(2, 6)
        from rest in Gen.ArrayOf(Gen.Elements(Enum.GetValues<Change>()), length)
        select (Change[])[first, .. rest];

    /// <summary>Makes it happen, where it can.</summary>
    public static void Happen(Account account, string customer, Guid org, Change change, TestClock clock)
    {
        var subscriptions = account.SubscriptionsOf(customer);
        var latest = subscriptions.LastOrDefault(subscription => subscription.Status is not ("canceled" or "incomplete_expired"));
        switch (change)
        {
            case Change.Subscribe: account.Subscribe(customer, "price_basic", orgId: org.ToString()); return;
            case Change.SubscribeTrialing: account.Subscribe(customer, "price_pro", "trialing", orgId: org.ToString()); return;
            case Change.SubscribeIncomplete: account.Subscribe(customer, "price_basic", "incomplete", orgId: org.ToString()); return;
            // Events of one second tie; now and then one passes.
            case Change.SecondPasses: clock.Advance(TimeSpan.FromSeconds(1)); return;
            case Change.Entitled: account.SetEntitlements(customer, "extra"); return;
        }

        if (latest is null)
            return;

        switch (change)
        {
            case Change.TrialEnds when latest.Status == "trialing": account.EndTrial(latest.Id); break;
            case Change.TrialWillEnd when latest.Status == "trialing": account.SayTrialWillEnd(latest.Id); break;
            case Change.PaymentFails when latest.Status is "active" or "past_due": account.FailPayment(latest.Id); break;
            case Change.Paid when latest.Status is "past_due" or "unpaid" or "incomplete": account.Pay(latest.Id); break;
            case Change.Unpaid when latest.Status is "past_due": account.MarkUnpaid(latest.Id); break;
            case Change.CollectionPaused when latest.Status is "active": account.PauseCollection(latest.Id); break;
            case Change.CollectionResumed when latest.PauseBehavior is not null: account.ResumeCollection(latest.Id); break;
            case Change.CancelsLater: account.CancelAtPeriodEnd(latest.Id); break;
            case Change.CancelsAfterAll when latest.CancelAtPeriodEnd: account.CancelAtPeriodEnd(latest.Id, cancel: false); break;
            case Change.Canceled: account.Cancel(latest.Id); break;
            case Change.PlanChanged: account.ChangePrice(latest.Id, latest.Items[0].PriceId == "price_basic" ? "price_pro" : "price_basic"); break;
            case Change.MetadataChanged: account.UpdateSubscription(latest.Id, new Dictionary<string, string> { ["note"] = Guid.NewGuid().ToString() }); break;
            case Change.Invoiced when latest.Status is "active": account.SendInvoice(latest.Id, TimeSpan.FromDays(7)); break;
            case Change.InvoiceVoided when account.OpenInvoices(latest.Id) is [var open, ..]: account.VoidInvoice(open.Id); break;
            case Change.Refunded when latest.Status is "active" && latest.LatestInvoiceId is { } id && account.Invoice(id).ChargeId is { } charge: account.Refund(charge, 1); break;
        }
    }
}
