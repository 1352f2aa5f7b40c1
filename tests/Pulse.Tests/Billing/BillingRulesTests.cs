using Pulse.Catalog;
using Pulse.Worker.Billing;
using static Pulse.Tests.Billing.Bill;

namespace Pulse.Tests.Billing;

/// <summary>The status table, grace, several subscriptions, overrides: one case each. What holds of all cases: TimelinePropertyTests.</summary>
public sealed class BillingRulesTests
{
    [Theory]
    [InlineData("trialing", "trial")]
    [InlineData("active", "active")]
    [InlineData("past_due", "grace, 5: suspended, 35: expired")]
    [InlineData("unpaid", "suspended, 30: expired")]
    [InlineData("paused", "suspended, 30: expired")]
    [InlineData("canceled", "expired")]
    [InlineData("incomplete", "trial, 10: expired")]
    [InlineData("incomplete_expired", "trial, 10: expired")]
    [InlineData("something_new", "trial, 10: expired")]
    public void A_status_of_Stripe_is_a_state(string status, string told) => Assert.Equal(told, Timeline([Customer(Subscription(status))]).Told());

    [Fact]
    public void Without_a_subscription_there_is_the_local_trial_and_then_nothing()
    {
        var timeline = Timeline();
        Assert.Equal("trial, 10: expired", timeline.Told());
        Assert.Equal(("local_trial", "trial", TrialEndsAt), (timeline[0].Source, timeline[0].PlanVersion, timeline[0].TrialEndsAt));
        Assert.Equal(["projects"], timeline[0].Capabilities);
        Assert.Empty(timeline[1].Capabilities);
        Assert.Equal("expired", Timeline(now: TrialEndsAt).Told());
        Assert.Equal(TrialEndsAt, Timeline(now: Day(20))[0].From);
    }

    [Fact]
    public void A_plan_says_capabilities_limits_and_meters()
    {
        var now = Timeline([Customer(Subscription())])[0];
        Assert.Equal(["export", "projects"], now.Capabilities);
        Assert.Equal(10, now.Limits["seats"]);
        Assert.Equal(["calls"], now.MetersEnabled);
        Assert.Equal(("starter-1", "stripe", "sub_1"), (now.PlanVersion, now.Source, now.SubscriptionId));
    }

    [Fact]
    public void A_price_is_found_by_its_lookup_key_too()
    {
        var subscription = Subscription() with { Prices = [new StripePrice { Id = "price_of_another_account", LookupKey = "starter_monthly" }] };
        Assert.Equal("starter-1", Timeline([Customer(subscription)])[0].PlanVersion);
    }

    [Fact]
    public void An_active_entitlement_at_Stripe_is_a_capability_while_there_is_access()
    {
        var customer = Customer(Subscription()) with { ActiveEntitlements = ["beta"] };
        Assert.Equal(["beta", "export", "projects"], Timeline([customer])[0].Capabilities);
        Assert.Empty(Timeline([customer with { Subscriptions = [Subscription("unpaid")] }])[0].Capabilities);
        Assert.DoesNotContain("beta", Timeline([customer with { Subscriptions = [] }])[0].Capabilities);
    }

    // --- ends ---------------------------------------------------------------------------------------------------------------

    [Fact]
    public void A_cancelled_subscription_is_expired_since_it_ended()
    {
        var segment = Timeline([Customer(Subscription("canceled") with { EndedAt = Day(-3) })])[0];
        Assert.Equal(("expired", Day(-3), "starter-1"), (segment.State, segment.From, segment.PlanVersion));
        Assert.Empty(segment.Capabilities);
    }

    [Fact]
    public void A_cancellation_to_come_is_shown_and_changes_nothing_before_Stripe_does_it()
    {
        var atPeriodEnd = Timeline([Customer(Subscription() with { CancelAtPeriodEnd = true })]);
        Assert.Equal(("active", Day(21)), (atPeriodEnd.Told(), atPeriodEnd[0].CancelsAt));
        var at = Timeline([Customer(Subscription() with { CancelAt = Day(4) })]);
        Assert.Equal(("active", Day(4)), (at.Told(), at[0].CancelsAt));
        Assert.Null(Timeline([Customer(Subscription("canceled") with { CancelAt = Day(-4), EndedAt = Day(-4) })])[0].CancelsAt);
    }

    [Fact]
    public void A_trial_at_Stripe_ends_when_Stripe_says_so()
    {
        var timeline = Timeline([Customer(Subscription("trialing") with { TrialEnd = Day(3) })]);
        Assert.Equal(("trial", Day(3), "stripe"), (timeline.Told(), timeline[0].TrialEndsAt, timeline[0].Source));
    }

    [Theory]
    [InlineData("void", "suspended, 30: expired")]
    [InlineData("keep_as_draft", "active")]
    [InlineData("mark_uncollectible", "active")]
    public void Of_the_pauses_of_collection_only_void_suspends(string behavior, string told) =>
        Assert.Equal(told, Timeline([Customer(Subscription() with { PauseBehavior = behavior })]).Told());

    [Fact]
    public void A_customer_that_was_deleted_counts_no_more() =>
        Assert.Equal("local_trial", Timeline([Customer(Subscription()) with { Deleted = true }])[0].Source);

    [Fact]
    public void A_subscription_that_was_never_paid_takes_nothing_from_one_that_is() =>
        Assert.Equal("active", Timeline([Customer(Subscription(), Subscription("incomplete_expired", "price_of_nobody", "sub_2"))]).Told());

    // --- grace --------------------------------------------------------------------------------------------------------------

    [Fact]
    public void Grace_is_counted_from_the_oldest_open_invoice_of_that_subscription()
    {
        var customer = Customer(Subscription("past_due")) with
        {
            OpenInvoices = [Invoice(-2, id: "in_new"), Invoice(-6, id: "in_old"), Invoice(-13, id: "in_other", subscription: "sub_other")],
        };
        var timeline = Timeline([customer]);
        Assert.Equal("grace, 8: suspended, 38: expired", timeline.Told());
        Assert.Equal(("in_old", Day(8)), (timeline[0].InvoiceId, timeline[0].GraceUntil));
        Assert.Empty(timeline[1].Capabilities);
    }

    [Fact]
    public void An_invoice_that_is_sent_is_late_from_its_due_date_on() =>
        Assert.Equal("grace, 13: suspended, 43: expired", Timeline([Customer(Subscription("past_due")) with { OpenInvoices = [Invoice(-31, due: -1)] }]).Told());

    [Fact]
    public void The_plan_says_how_long_grace_is() =>
        Assert.Equal("grace, 20: suspended, 50: expired", Timeline([Customer(Subscription("past_due", "price_pro")) with { OpenInvoices = [Invoice(-1)] }]).Told());

    [Fact]
    public void Grace_that_is_over_is_over_also_when_it_is_first_heard_of_then()
    {
        var customer = Customer(Subscription("past_due")) with { OpenInvoices = [Invoice(-20)] };
        Assert.Equal("suspended, 24: expired", Timeline([customer]).Told());
        Assert.Equal(Day(-6), Timeline([customer])[0].From);
        Assert.Equal("expired", Timeline([customer], now: Day(24)).Told());
    }

    [Fact]
    public void A_repeated_past_due_does_not_move_grace()
    {
        var customer = Customer(Subscription("past_due")) with { OpenInvoices = [Invoice(-1)] };
        Segment? previous = null;
        for (var day = 0; day < 13; day++)
        {
            Assert.Equal(Day(13), Timeline([customer], previous: previous, now: Day(day))[0].GraceUntil);
            previous = Underlying([customer], previous, Day(day));
        }
    }

    [Fact]
    public void Without_a_known_invoice_grace_is_counted_from_the_period_and_never_from_now()
    {
        Assert.Equal("grace, 5: suspended, 35: expired", Timeline([Customer(Subscription("past_due"))]).Told());
        Assert.Equal("suspended, 4: expired", Timeline([Customer(Subscription("past_due") with { CurrentPeriodStart = null })]).Told());
    }

    // --- suspended --------------------------------------------------------------------------------------------------------------

    [Fact]
    public void The_thirty_days_of_a_pause_are_counted_from_when_it_was_first_known()
    {
        var customers = new[] { Customer(Subscription("paused")) };
        var known = Underlying(customers);
        Assert.Equal("suspended, 30: expired", Timeline(customers, previous: known, now: Day(7)).Told());

        known = Underlying(customers, known, Day(7));
        Assert.Equal(Now, known.From);
        Assert.Equal("expired", Timeline(customers, previous: Underlying(customers, known, Day(30)), now: Day(31)).Told());
        Assert.Equal("active", Timeline([Customer(Subscription())], previous: known, now: Day(31)).Told());
    }

    [Fact]
    public void An_unpaid_subscription_is_suspended_since_its_grace_would_have_ended_at_the_latest()
    {
        Assert.Equal("suspended, 26: expired", Timeline([Customer(Subscription("unpaid")) with { OpenInvoices = [Invoice(-18)] }]).Told());
        Assert.Equal("suspended, 30: expired", Timeline([Customer(Subscription("unpaid")) with { OpenInvoices = [Invoice(-3)] }]).Told());
    }

    // --- several ----------------------------------------------------------------------------------------------------------------

    [Fact]
    public void The_best_state_wins_and_what_gives_access_is_put_together()
    {
        var timeline = Timeline([Customer(Subscription("past_due", "price_pro")), Customer(Subscription(id: "sub_2"))]);
        Assert.Equal(("active", "starter-1", "sub_2"), (timeline[0].State, timeline[0].PlanVersion, timeline[0].SubscriptionId));
        Assert.Equal(["export", "projects", "sso"], timeline[0].Capabilities);
        // Pro has no limit of projects; of seats the larger one.
        Assert.Equal(new Dictionary<string, long> { ["seats"] = 100 }, timeline[0].Limits);
        // When grace of pro is over its part goes.
        Assert.Equal("active, 12: active", timeline.Told());
        Assert.Equal(["export", "projects"], timeline[1].Capabilities);
        Assert.Equal(10, timeline[1].Limits["projects"]);
    }

    [Fact]
    public void A_cancelled_customer_takes_nothing_from_another_of_the_same_organization()
    {
        var timeline = Timeline([Customer(Subscription("canceled", "price_pro")), Customer(Subscription(id: "sub_2"))]);
        Assert.Equal("active", timeline.Told());
        Assert.DoesNotContain("sso", timeline[0].Capabilities);
    }

    [Fact]
    public void An_add_on_adds_and_lifts_no_limit_that_it_does_not_name()
    {
        var subscription = Subscription() with { Prices = [new StripePrice { Id = "price_seats" }, new StripePrice { Id = "price_starter" }] };
        foreach (var customer in new[] { Customer(subscription), Customer(Subscription(), Subscription("active", "price_seats", "sub_2")) })
        {
            var now = Timeline([customer])[0];
            Assert.Equal("starter-1", now.PlanVersion);
            Assert.Equal(["export", "guests", "projects"], now.Capabilities);
            Assert.Equal(new Dictionary<string, long> { ["projects"] = 10, ["seats"] = 250 }, now.Limits);
        }

        Assert.Equal("suspended", Timeline([Customer(Subscription("unpaid"), Subscription("active", "price_seats", "sub_2"))])[0].State);
    }

    // --- what is not known ------------------------------------------------------------------------------------------------------

    [Fact]
    public void An_unknown_status_keeps_what_was_marked_stale_and_its_boundaries_too()
    {
        var before = Underlying([Customer(Subscription("past_due")) with { OpenInvoices = [Invoice(-4)] }]);
        var timeline = Timeline([Customer(Subscription("something_new"))], previous: before, now: Day(2));
        Assert.Equal("grace, 10: suspended, 40: expired", timeline.Told());
        Assert.All(timeline, segment => Assert.True(segment.Stale));
        Assert.Equal(before.Capabilities, timeline[0].Capabilities);
        Assert.False(Timeline([Customer(Subscription())], previous: Underlying([Customer(Subscription("something_new"))], before))[0].Stale);
    }

    [Fact]
    public void An_unknown_status_is_no_worse_than_no_subscription()
    {
        var now = Timeline([Customer(Subscription("something_new"))], previous: Underlying([]))[0];
        Assert.Equal(("trial", "local_trial", true), (now.State, now.Source, now.Stale));
    }

    [Theory]
    [InlineData("active")]
    [InlineData("past_due")]
    [InlineData("unpaid")]
    public void A_price_that_no_plan_has_is_named(string status)
    {
        var customers = new[] { Customer(Subscription(status, "price_new")) };
        Assert.Equal("price_new", Assert.Throws<UnknownPriceException>(() => Timeline(customers)).PriceId);
        Assert.Throws<UnknownPriceException>(() => Underlying(customers));
    }

    [Fact]
    public void A_price_that_no_plan_has_any_more_keeps_what_there_was_where_Stripe_was_not_just_asked()
    {
        var before = Underlying([Customer(Subscription())]);
        var now = BillingRules.Timeline([Customer(Subscription("active", "price_dropped"))], [], TrialEndsAt, before, Bill.Plans, Now, keepUnknownPrices: true)[0];
        Assert.Equal(("active", "starter-1", true), (now.State, now.PlanVersion, now.Stale));
    }

    [Theory]
    [InlineData("canceled")]
    [InlineData("incomplete")]
    [InlineData("incomplete_expired")]
    public void What_gives_nothing_may_be_sold_at_any_price(string status) =>
        Assert.Equal("active", Timeline([Customer(Subscription(status, "price_of_long_ago", "sub_0"), Subscription())]).Told());

    // --- overrides --------------------------------------------------------------------------------------------------------------

    [Fact]
    public void A_pin_sets_what_it_says_and_takes_the_rest_from_under_it()
    {
        var pin = Override(state: new OverrideState { Limits = new Dictionary<string, long> { ["seats"] = 7 } });
        var now = Timeline([Customer(Subscription())], [pin])[0];
        Assert.Equal(("active", "starter-1", "override", pin.Id), (now.State, now.PlanVersion, now.Source, now.OverrideId));
        Assert.Equal(["export", "projects"], now.Capabilities);
        Assert.Equal(new Dictionary<string, long> { ["seats"] = 7 }, now.Limits);
    }

    [Fact]
    public void A_pinned_state_gives_back_the_capabilities_that_its_loss_had_cost()
    {
        var now = Timeline([Customer(Subscription("canceled"))], [Override(state: new OverrideState { SubscriptionState = "active" })])[0];
        Assert.Equal(["export", "projects"], now.Capabilities);
    }

    [Fact]
    public void A_pinned_plan_of_the_file_stands_for_all_that_it_has()
    {
        var now = Timeline(overrides: [Override(state: new OverrideState { SubscriptionState = "active", PlanVersion = "pro-1" })])[0];
        Assert.Equal(["projects", "sso"], now.Capabilities);
        Assert.Equal(new Dictionary<string, long> { ["seats"] = 100 }, now.Limits);

        var unknown = Timeline(overrides: [Override(state: new OverrideState { PlanVersion = "special" })])[0];
        Assert.Equal(("special", "trial"), (unknown.PlanVersion, unknown.State));
        Assert.Equal(["projects"], unknown.Capabilities);
    }

    [Fact]
    public void A_pinned_end_moves_the_end_under_it()
    {
        Assert.Equal("trial, 25: expired", Timeline(overrides: [Override(state: new OverrideState { TrialEndsAt = Day(25) })]).Told());
        Assert.Equal("grace, 6: suspended, 36: expired", Timeline([Customer(Subscription("past_due"))], [Override(state: new OverrideState { GraceUntil = Day(6) })]).Told());
        Assert.Equal("trial, 25: expired", Timeline([Customer(Subscription("canceled"))], [Override(state: new OverrideState { SubscriptionState = "trial", TrialEndsAt = Day(25) })]).Told());
    }

    [Fact]
    public void A_pinned_state_without_an_end_stands_until_the_pin_ends()
    {
        Assert.Equal("grace", Timeline([Customer(Subscription())], [Override(state: new OverrideState { SubscriptionState = "grace" })]).Told());
        Assert.Equal("trial, 10: trial", Timeline(overrides: [Override(state: new OverrideState { SubscriptionState = "trial" })]).Told());
        Assert.Equal("suspended, 4: active", Timeline([Customer(Subscription())], [Override(state: new OverrideState { SubscriptionState = "suspended" }, expires: 4)]).Told());
    }

    [Fact]
    public void A_grant_adds_and_never_takes_away()
    {
        var grant = Override("grant", new OverrideState { Capabilities = ["sso"], Limits = new Dictionary<string, long> { ["seats"] = 5, ["projects"] = 50, ["rooms"] = 1 } });
        var now = Timeline([Customer(Subscription())], [grant])[0];
        Assert.Equal(["export", "projects", "sso"], now.Capabilities);
        // There was no limit of rooms.
        Assert.Equal(new Dictionary<string, long> { ["projects"] = 50, ["seats"] = 10 }, now.Limits);
        Assert.Equal("active, 3: active", Timeline([Customer(Subscription())], [grant with { ExpiresAt = Day(3) }]).Told());

        // Where there is no access it gives it.
        now = Timeline([Customer(Subscription("canceled"))], [grant])[0];
        Assert.Equal("active", now.State);
        Assert.Equal(["sso"], now.Capabilities);

        // Less than there is changes nothing.
        now = Timeline([Customer(Subscription())], [Override("grant", new OverrideState { SubscriptionState = "suspended" })])[0];
        Assert.Equal(("active", "stripe"), (now.State, now.Source));
    }

    [Fact]
    public void A_denial_is_over_everything()
    {
        var deny = Override("deny", created: -5);
        var now = Timeline([Customer(Subscription())], [deny, Override(state: new OverrideState { SubscriptionState = "active" })])[0];
        Assert.Equal(("suspended", "override", deny.Id, false), (now.State, now.Source, now.OverrideId, now.Conflict));
        Assert.Empty(now.Capabilities);
        Assert.Empty(now.MetersEnabled);
        Assert.Equal("suspended, 2: active", Timeline([Customer(Subscription())], [deny with { ExpiresAt = Day(2) }]).Told());
    }

    [Fact]
    public void Of_one_rank_the_newest_wins_and_the_conflict_is_shown_while_there_is_one()
    {
        var older = Override(state: new OverrideState { SubscriptionState = "grace" }, created: -2);
        var newer = Override("grant", new OverrideState { SubscriptionState = "active" }, created: -1, expires: 5);
        var timeline = Timeline([Customer(Subscription("canceled"))], [newer, older]);
        Assert.Equal("active, 5: grace", timeline.Told());
        Assert.Equal([true, false], timeline.Select(segment => segment.Conflict));
    }

    [Fact]
    public void The_end_of_everything_is_no_boundary() => Assert.Equal("trial", Timeline(
        overrides: [Override(state: new OverrideState { SubscriptionState = "trial", TrialEndsAt = DateTimeOffset.MaxValue })], trialEndsAt: Day(-1)).Told());

    // --- reading ----------------------------------------------------------------------------------------------------------------

    [Fact]
    public void A_reader_takes_the_last_segment_that_has_begun_and_with_a_clock_behind_the_first()
    {
        var timeline = Timeline();
        Assert.Equal("trial", timeline.At(TrialEndsAt.AddTicks(-1)).State);
        Assert.Equal("expired", timeline.At(TrialEndsAt).State);
        Assert.Equal("trial", timeline.At(Day(-100)).State);
    }
}
