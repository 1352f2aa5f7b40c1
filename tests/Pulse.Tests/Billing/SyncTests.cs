using global::Pulse.StripeDouble.Api;
using Pulse.Worker.Billing;
using Fault = global::Pulse.StripeDouble.Api.Fault;

namespace Pulse.Tests.Billing;

/// <summary>One customer kept in step: which events mean what, and whose the customer is.</summary>
public sealed class SyncTests(SyncBed bed) : IClassFixture<SyncBed>
{
    [Fact]
    public async Task A_subscription_at_Stripe_is_the_organization_s_state()
    {
        var (worker, customer, org) = await bed.BeginAsync();
        bed.Stripe.Account.Subscribe(customer, "price_pro");

        await bed.DeliverAllAsync(worker, customer);
        await worker.DrainAsync();

        Assert.Equal("active", await bed.StateAsync(org));
        Assert.Equal("active", Assert.Single(worker.Changed).SubscriptionState);
        Assert.Equal(0, await bed.AskAsync<long>("select count(*) from pulse.stripe_events where customer_id = $1 and status <> 'applied'", customer));
        Assert.Null(await worker.DivergenceAsync(customer, org));
    }

    [Fact]
    public async Task A_late_update_after_the_deletion_restores_nothing()
    {
        var (worker, customer, org) = await bed.BeginAsync();
        var subscription = bed.Stripe.Account.Subscribe(customer, "price_pro").Id;
        var updated = bed.EventsOf(customer)[^1];
        bed.Stripe.Account.Cancel(subscription);
        await worker.DeliverAsync(bed.EventsOf(customer)[^1]);
        await worker.DrainAsync();
        Assert.Equal("expired", await bed.StateAsync(org));

        await worker.DeliverAsync(updated);
        await worker.DrainAsync();

        Assert.Equal("expired", await bed.StateAsync(org));
    }

    [Fact]
    public async Task An_event_of_a_customer_without_a_link_is_parked_and_applied_when_the_link_appears()
    {
        var account = bed.Stripe.Account;
        var worker = bed.Worker(new TestClock());
        var org = await bed.OrgAsync();
        var customer = account.CreateCustomer().Id;
        account.Subscribe(customer, "price_basic");
        var early = bed.EventsOf(customer)[0];
        await worker.DeliverAsync(early);
        await worker.DrainAsync();
        Assert.Equal("parked", await bed.EventStatusAsync(early.Id));
        Assert.Equal("trial", await bed.StateAsync(org));

        account.UpdateCustomer(customer, metadata: new Dictionary<string, string> { ["org_id"] = org.ToString() });
        await worker.DeliverAsync(bed.EventsOf(customer)[^1]);
        await worker.DrainAsync();

        Assert.Equal("applied", await bed.EventStatusAsync(early.Id));
        Assert.Equal("active", await bed.StateAsync(org));
    }

    [Fact]
    public async Task A_completed_checkout_links_by_its_client_reference()
    {
        var account = bed.Stripe.Account;
        var worker = bed.Worker(new TestClock());
        var org = await bed.OrgAsync();
        var session = account.CompleteCheckout(account.OpenCheckout("price_basic", clientReferenceId: org.ToString()).Id);

        await bed.DeliverAllAsync(worker, session.CustomerId!);
        await worker.DrainAsync();

        Assert.Equal("active", await bed.StateAsync(org));
        Assert.Equal("client_reference_id", await bed.AskAsync<string>("select linked_by from pulse.stripe_customers where customer_id = $1", session.CustomerId!));
    }

    [Fact]
    public async Task A_customer_that_two_organizations_claim_is_quarantined_and_changes_neither()
    {
        var (worker, customer, org) = await bed.BeginAsync();
        var other = await bed.OrgAsync();
        bed.Stripe.Account.Subscribe(customer, "price_pro", orgId: other.ToString());

        await bed.DeliverAllAsync(worker, customer);
        await worker.DrainAsync();

        Assert.StartsWith("link_conflict", await bed.ProblemAsync(customer), StringComparison.Ordinal);
        Assert.Equal("quarantined", await bed.EventStatusAsync(bed.EventsOf(customer)[0].Id));
        Assert.Equal(("trial", "trial"), (await bed.StateAsync(org), await bed.StateAsync(other)));
    }

    [Fact]
    public async Task A_customer_of_an_organization_that_is_not_there_is_quarantined_until_it_is()
    {
        var worker = bed.Worker(new TestClock());
        var org = Guid.CreateVersion7();
        var customer = bed.Stripe.Account.CreateCustomer(orgId: org.ToString()).Id;
        bed.Stripe.Account.Subscribe(customer, "price_basic");
        await bed.DeliverAllAsync(worker, customer);
        await worker.DrainAsync();
        Assert.Equal($"link_conflict {org}", await bed.ProblemAsync(customer));

        await bed.OrgAsync(org);
        await worker.DeliverAsync(bed.EventsOf(customer)[^1]);
        await worker.DrainAsync();

        Assert.Null(await bed.ProblemAsync(customer));
        Assert.Equal("active", await bed.StateAsync(org));
    }

    [Fact]
    public async Task A_cancelled_customer_takes_nothing_from_another_of_the_same_organization()
    {
        var (worker, first, org) = await bed.BeginAsync();
        var second = bed.Stripe.Account.CreateCustomer(orgId: org.ToString()).Id;
        var old = bed.Stripe.Account.Subscribe(first, "price_basic").Id;
        bed.Stripe.Account.Subscribe(second, "price_pro");
        await bed.DeliverAllAsync(worker, first);
        await bed.DeliverAllAsync(worker, second);
        await worker.DrainAsync();

        bed.Stripe.Account.Cancel(old);
        bed.Stripe.Account.DeleteCustomer(first);
        await worker.DeliverAsync(bed.EventsOf(first)[^1]);
        await worker.DrainAsync();

        Assert.Equal("active", await bed.StateAsync(org));
        Assert.Equal("pro", await bed.AskAsync<string>("select plan_version from pulse.billing_states where org_id = $1", org));
        Assert.Equal("true", await bed.AskAsync<string>("select canonical ->> 'deleted' from pulse.stripe_customers where customer_id = $1", first));
    }

    [Fact]
    public async Task A_thin_twin_and_its_snapshot_are_one_effect()
    {
        var (worker, customer, _) = await bed.BeginAsync();
        var subscription = bed.Stripe.Account.Subscribe(customer, "price_basic").Id;
        var snapshot = bed.EventsOf(customer).Last(happened => happened.Type.StartsWith("customer.subscription", StringComparison.Ordinal));
        var thin = snapshot.Thin("subscription", subscription);

        Assert.Equal("marked", (await worker.DeliverAsync(thin)).Outcome);
        Assert.Equal("twin", (await worker.DeliverAsync(snapshot)).Outcome);
        Assert.Equal(1L, await bed.AskAsync<long>("select dirty from pulse.stripe_customers where customer_id = $1", customer));

        await worker.DrainAsync();
        Assert.Equal(("applied", "applied"), (await bed.EventStatusAsync(thin.Id), await bed.EventStatusAsync(snapshot.Id)));
    }

    [Fact]
    public async Task An_event_that_is_not_done_with_is_handled_again_and_one_that_is_not()
    {
        var (worker, customer, org) = await bed.BeginAsync();
        bed.Stripe.Account.Subscribe(customer, "price_basic");
        var happened = bed.EventsOf(customer)[0];
        await worker.DeliverAsync(happened);
        // Its message is lost.
        worker.Forget();

        Assert.Equal("marked", (await worker.DeliverAsync(happened)).Outcome);
        await worker.DrainAsync();
        Assert.Equal("active", await bed.StateAsync(org));
        Assert.Equal("repeat", (await worker.DeliverAsync(happened)).Outcome);
    }

    [Fact]
    public async Task An_event_of_the_other_mode_or_of_no_interest_is_ignored()
    {
        var (worker, customer, _) = await bed.BeginAsync();
        bed.Stripe.Account.Subscribe(customer, "price_basic");
        var happened = bed.EventsOf(customer)[0];

        Assert.Equal("wrong_livemode", (await worker.DeliverAsync(happened with { Id = happened.Id + "_live", Livemode = true })).Outcome);
        Assert.Equal("ignored", (await worker.DeliverAsync(happened with { Id = happened.Id + "_other", Type = "invoice.upcoming" })).Outcome);
        Assert.Equal("ignored", await bed.EventStatusAsync(happened.Id + "_live"));
    }

    [Fact]
    public async Task A_refund_marks_the_customer_of_its_charge_and_waits_while_Stripe_is_away()
    {
        var (worker, customer, _) = await bed.BeginAsync();
        var subscription = bed.Stripe.Account.Subscribe(customer, "price_basic");
        await bed.DeliverAllAsync(worker, customer);
        await worker.DrainAsync();
        var charge = bed.Stripe.Account.Invoice(subscription.LatestInvoiceId!).ChargeId!;
        bed.Stripe.Account.Refund(charge, 1);
        var refund = bed.EventsOf(customer).Last(happened => happened.Type.StartsWith("refund", StringComparison.Ordinal));

        bed.Stripe.Faults.Add(new Fault(FaultKind.Error) { Route = "/v1/charges", Times = 2 });
        Assert.Equal("put_off", (await worker.DeliverAsync(refund)).Outcome);
        await worker.DrainAsync();

        Assert.Equal("applied", await bed.EventStatusAsync(refund.Id));
        Assert.Equal(customer, await bed.AskAsync<string>("select customer_id from pulse.stripe_events where event_id = $1", refund.Id));
    }

    [Fact]
    public async Task A_price_that_changes_marks_everybody_who_has_it()
    {
        var (worker, customer, _) = await bed.BeginAsync();
        bed.Stripe.Account.Subscribe(customer, "price_basic");
        await bed.DeliverAllAsync(worker, customer);
        await worker.DrainAsync();
        var before = await bed.AskAsync<long>("select dirty from pulse.stripe_customers where customer_id = $1", customer);

        var sold = new State.Happened($"evt_price_{customer}", $"evt_price_{customer}", "price.updated", false, bed.Clock.GetUtcNow(),
            """{"id":"e","object":"event","type":"price.updated","data":{"object":{"id":"price_basic","object":"price"}}}"""u8.ToArray());
        await worker.DeliverAsync(sold);
        await worker.PumpAsync();
        await worker.DrainAsync();

        Assert.Equal("applied", await bed.EventStatusAsync(sold.Id));
        Assert.Equal(before + 1, await bed.AskAsync<long>("select synced from pulse.stripe_customers where customer_id = $1", customer));
    }
}
