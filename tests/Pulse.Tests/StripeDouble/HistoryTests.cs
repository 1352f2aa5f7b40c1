using System.Text.Json.Nodes;
using Pulse.StripeDouble;
using Pulse.StripeDouble.State;

namespace Pulse.Tests.StripeDouble;

/// <summary>What happens at the double makes the events that it makes at Stripe.</summary>
public sealed class HistoryTests
{
    readonly TestClock _clock = new();
    readonly Account _account;

    public HistoryTests() => _account = new Account(new StripeOptions { Clock = _clock });

    [Fact]
    public void A_checkout_links_a_new_customer_and_makes_a_subscription()
    {
        var session = _account.CompleteCheckout(_account.OpenCheckout("price_pro", clientReferenceId: "org-1").Id);

        Assert.Equal(["customer.created", "customer.subscription.created", "invoice.created", "invoice.finalized", "charge.succeeded", "invoice.paid",
            "invoice.payment_succeeded", "customer.subscription.updated", "checkout.session.completed"], Since(2));
        Assert.Equal(("org-1", "complete", "paid"), (session.ClientReferenceId, session.Status, session.PaymentStatus));
        Assert.Equal("active", _account.Subscription(session.SubscriptionId!).Status);
        Assert.Equal("incomplete", (string)Previous("customer.subscription.updated")["status"]!);
    }

    [Fact]
    public void The_life_of_a_subscription_that_is_not_paid()
    {
        var customer = _account.CreateCustomer(orgId: "org-1").Id;
        var subscription = _account.Subscribe(customer, "price_pro", trialDays: 14).Id;
        var seen = _account.History().Count;

        _clock.Advance(TimeSpan.FromDays(12));
        _account.SetPays(subscription, false);
        _clock.Advance(TimeSpan.FromDays(3));
        Assert.Equal("past_due", _account.Subscription(subscription).Status);
        var owed = Assert.Single(_account.OpenInvoices(subscription));
        // The trial ended when it ended, not when somebody looked.
        Assert.Equal(_account.Subscription(subscription).TrialEnd, owed.FinalizedAt);
        Assert.Equal(["customer.subscription.trial_will_end", "invoice.created", "invoice.finalized", "charge.failed", "invoice.payment_failed", "customer.subscription.updated"], Since(seen));

        _account.FailPayment(subscription);
        Assert.Equal(owed.FinalizedAt, Assert.Single(_account.OpenInvoices(subscription)).FinalizedAt);
        _account.MarkUnpaid(subscription);
        seen = _account.History().Count;
        _account.Pay(subscription);
        Assert.Empty(_account.OpenInvoices(subscription));
        Assert.Equal(["charge.succeeded", "invoice.paid", "invoice.payment_succeeded", "customer.subscription.updated"], Since(seen));

        seen = _account.History().Count;
        _account.CancelAtPeriodEnd(subscription);
        var end = _account.Subscription(subscription).PeriodEnd;
        _clock.Advance(TimeSpan.FromDays(60));
        Assert.Equal(("canceled", end), (_account.Subscription(subscription).Status, _account.Subscription(subscription).EndedAt!.Value));
        Assert.Equal(["customer.subscription.updated", "customer.subscription.deleted"], Since(seen));
    }

    [Fact]
    public void Time_renews_what_is_paid_and_every_period_has_an_invoice()
    {
        var subscription = _account.Subscribe(_account.CreateCustomer().Id, "price_pro");
        _account.Advance(TimeSpan.FromDays(100));

        var periods = _account.History().Where(made => made.Type == "invoice.paid").Select(made => made.Created).ToList();
        Assert.Equal([subscription.Created, subscription.Created.AddMonths(1), subscription.Created.AddMonths(1).AddMonths(1), subscription.Created.AddMonths(1).AddMonths(1).AddMonths(1)], periods);
        Assert.Equal("active", _account.Subscription(subscription.Id).Status);
    }

    [Theory]
    [InlineData("trialing")]
    [InlineData("active")]
    [InlineData("incomplete")]
    [InlineData("incomplete_expired")]
    [InlineData("past_due")]
    [InlineData("unpaid")]
    [InlineData("paused")]
    [InlineData("canceled")]
    [InlineData("some_day")]
    public void Every_status_can_be_reached(string status) =>
        Assert.Equal(status, _account.Subscribe(_account.CreateCustomer().Id, "price_pro", status).Status);

    [Fact]
    public void A_deleted_customer_takes_its_subscriptions_along()
    {
        var customer = _account.CreateCustomer().Id;
        _account.Subscribe(customer, "price_a");
        _account.Subscribe(customer, "price_b", "trialing");
        _account.SetEntitlements(customer, "x");
        var seen = _account.History().Count;

        _account.DeleteCustomer(customer);
        Assert.Equal(["customer.subscription.deleted", "customer.subscription.deleted", "customer.deleted"], Since(seen));
        Assert.All(_account.SubscriptionsOf(customer), subscription => Assert.Equal("canceled", subscription.Status));
        Assert.Empty(_account.EntitlementsOf(customer));
    }

    [Fact]
    public void An_entitlement_summary_embeds_ten_and_says_that_there_are_more()
    {
        var customer = _account.CreateCustomer().Id;
        _account.SetEntitlements(customer, [.. Enumerable.Range(1, 12).Select(number => $"f{number}")]);

        var summary = JsonNode.Parse(_account.History()[^1].Data)!["entitlements"]!;
        Assert.Equal(10, summary["data"]!.AsArray().Count);
        Assert.True((bool)summary["has_more"]!);
    }

    [Fact]
    public void What_is_in_the_journal_is_there_after_a_restart()
    {
        var journal = Path.GetTempFileName();
        try
        {
            string session, subscription;
            int events;
            using (var before = new Account(new StripeOptions { Clock = _clock, Journal = journal }))
            {
                var customer = before.CreateCustomer(orgId: "org-1").Id;
                session = before.CompleteCheckout(before.OpenCheckout("price_pro", customerId: customer, trialDays: 14).Id).Id;
                subscription = before.Session(session).SubscriptionId!;
                before.SetEntitlements(customer, "a", "b");
                before.SetEntitlements(customer, "b");
                events = before.History().Count;
            }

            File.AppendAllText(journal, "Customer {\"Id\":\"cut off by a ki");
            _clock.Advance(TimeSpan.FromDays(15));
            using var after = new Account(new StripeOptions { Clock = _clock, Journal = journal });
            Assert.Equal(["b"], after.EntitlementsOf(after.Session(session).CustomerId!));
            Assert.Equal("active", after.Subscription(subscription).Status);
            Assert.True(after.History().Count > events);
            Assert.Equal(after.History().Count, after.History().Select(made => made.Sequence).Distinct().Count());
        }
        finally
        {
            File.Delete(journal);
        }
    }

    IEnumerable<string> Since(int count) => _account.History().Skip(count).Select(made => made.Type);

    JsonNode Previous(string type) => JsonNode.Parse(_account.History().Last(made => made.Type == type).Previous!)!;
}
