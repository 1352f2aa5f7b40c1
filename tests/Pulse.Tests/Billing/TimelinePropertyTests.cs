using FsCheck;
using FsCheck.Fluent;
using Pulse.Catalog;
using Pulse.Worker.Billing;
using static Pulse.Tests.Billing.Bill;

namespace Pulse.Tests.Billing;

/// <summary>What holds of every timeline, whatever Stripe and operators say.</summary>
public sealed class TimelinePropertyTests
{
    static readonly Config Often = Config.QuickThrowOnFailure.WithMaxTest(3000);

    /// <summary>What Stripe and operators say, and a later time at which the same is asked again.</summary>
    internal sealed record Case
    {
        public required Canonical[] Customers { get; init; }
        public required BillingOverride[] Overrides { get; init; }
        public required DateTimeOffset TrialEndsAt { get; init; }
        public required Canonical[] Before { get; init; }
        public required DateTimeOffset Later { get; init; }

        // What was stored before, from other customers' states, so that there is something to go stale.
        public Segment? Previous => Before.Length == 0 ? null : BillingRules.Underlying(Before, TrialEndsAt, null, Bill.Plans, Day(-3));

        public IReadOnlyList<Segment> Timeline(DateTimeOffset? now = null, Segment? previous = null) =>
            BillingRules.Timeline(Customers, Overrides, TrialEndsAt, previous ?? Previous, Bill.Plans, now ?? Now);

        public Segment Underlying => BillingRules.Underlying(Customers, TrialEndsAt, Previous, Bill.Plans, Now);

        public override string ToString() => System.Text.Json.JsonSerializer.Serialize(new { Customers, Overrides, TrialEndsAt, Before, Later }, Canonical.Json);
    }

    [Fact]
    public void At_every_later_time_it_says_what_would_be_computed_then() => For(one =>
        one.Timeline().At(one.Later).SaysTheSameAs(one.Timeline(one.Later, one.Underlying)[0]));

    [Fact]
    public void Computed_again_at_each_boundary_it_goes_on_as_it_said() => For(one =>
    {
        var timeline = one.Timeline();
        var underlying = one.Underlying;
        foreach (var (index, segment) in timeline.Index().Skip(1))
        {
            var then = one.Timeline(segment.From, underlying);
            underlying = BillingRules.Underlying(one.Customers, one.TrialEndsAt, underlying, Bill.Plans, segment.From);
            if (!then.SaysTheSameAs([.. timeline.Skip(index)]))
                return false;
        }

        return true;
    });

    [Fact]
    public void Computed_again_at_the_same_time_it_is_the_same() => For(one => one.Timeline().SaysTheSameAs(one.Timeline(previous: one.Underlying)));

    [Fact]
    public void The_order_of_customers_subscriptions_invoices_and_overrides_does_not_matter() => For(one =>
    {
        var turned = one with
        {
            Customers = [.. one.Customers.Reverse().Select(customer => customer with
            {
                Subscriptions = [.. customer.Subscriptions.Reverse()], OpenInvoices = [.. customer.OpenInvoices.Reverse()],
            })],
            Overrides = [.. one.Overrides.Reverse()],
        };
        return one.Timeline().SaysTheSameAs(turned.Timeline()) && one.Underlying.SaysTheSameAs(turned.Underlying);
    });

    [Fact]
    public void Segments_are_in_order_and_each_says_something_new() => For(one =>
    {
        var timeline = one.Timeline();
        return timeline[0].From <= Now && timeline.Zip(timeline.Skip(1)).All(pair =>
            pair.First.From < pair.Second.From && pair.Second.From > Now && !pair.First.SaysTheSameAs(pair.Second));
    });

    [Fact]
    public void Revoking_an_override_gives_exactly_the_state_without_it() => For(one => one.Overrides.Index().All(revoked =>
    {
        var without = one with { Overrides = [.. one.Overrides.Where((_, index) => index != revoked.Index)] };
        var after = one with { Overrides = [.. one.Overrides.Select((other, index) => index == revoked.Index ? other with { RevokedAt = Now } : other)] };
        return after.Timeline().SaysTheSameAs(without.Timeline()) && one.Underlying.SaysTheSameAs(without.Underlying);
    }));

    [Fact]
    public void Expired_and_suspended_can_do_nothing() => For(one => one.Timeline().Append(one.Underlying).All(segment =>
        segment.State is "active" or "trial" or "grace" || (segment.Capabilities.Count == 0 && segment.MetersEnabled.Count == 0)));

    [Fact]
    public void Every_segment_has_a_state_a_plan_and_a_source() => For(one => one.Timeline().All(segment =>
        BillingRules.States.Contains(segment.State) && segment.PlanVersion.Length > 0 && segment.Source is "local_trial" or "stripe" or "override"
        && (segment.Source == "override") == segment.OverrideId.HasValue && segment.Known is null));

    [Fact]
    public void While_a_denial_is_in_force_there_is_no_access() => For(one => one.Timeline().All(segment =>
        !segment.GivesAccess || !one.Overrides.Any(other => other.Effect == "deny" && !(other.ExpiresAt <= segment.From) && !(other.ExpiresAt <= Now))));

    [Fact]
    public void Another_subscription_never_makes_the_state_worse() => For(one =>
    {
        // An add-on by itself is another matter: it gives way to the plan that it adds to.
        Canonical[] customers = [.. one.Customers.Select(customer => customer with
        {
            Subscriptions = [.. customer.Subscriptions.Select(subscription => subscription with { Prices = [.. subscription.Prices, new StripePrice { Id = "price_starter" }] })],
        })];
        if (customers.Length == 0)
            return true;
        var without = BillingRules.Timeline(customers[1..], [], one.TrialEndsAt, null, Bill.Plans, Now)[0];
        var with = BillingRules.Timeline(customers, [], one.TrialEndsAt, null, Bill.Plans, Now)[0];
        // Over a local trial Stripe has the word, whatever it is.
        return without.Source == "local_trial" || Rank(with) <= Rank(without);
    });

    [Fact]
    public void What_never_was_paid_changes_nothing() => For(one =>
    {
        var more = one with { Customers = [.. one.Customers, Customer(Subscription("incomplete", id: "sub_never")), Customer(Subscription("incomplete_expired", id: "sub_never_2"))] };
        return one.Timeline().SaysTheSameAs(more.Timeline());
    });

    [Fact]
    public void Grace_ends_when_it_ends_whenever_it_is_heard_of() => Check.One(Often, Prop.ForAll(
        Gen.Choose(0, 60).SelectMany(finalized => Gen.Choose(0, 70).Select(heard => (finalized, heard))).ToArbitrary(),
        at =>
        {
            var customers = new[] { Customer(Subscription("past_due")) with { OpenInvoices = [Invoice(at.finalized - 40)] } };
            var timeline = BillingRules.Timeline(customers, [], null, null, Bill.Plans, Day(at.heard - 40));
            var age = at.heard - at.finalized;
            return timeline[0].GraceUntil == Day(at.finalized - 40 + 14) && timeline[0].State == (age < 14 ? "grace" : age < 44 ? "suspended" : "expired");
        }));

    static int Rank(Segment segment) => BillingRules.States.Index().First(state => state.Item == segment.State).Index;

    static void For(Func<Case, bool> holds) => Check.One(Often, Prop.ForAll(Cases.ToArbitrary(), holds));

    // --- what there can be ------------------------------------------------------------------------------------------------

    static readonly Gen<int> Days = Gen.Choose(-45, 45);

    static Gen<T?> Maybe<T>(Gen<T> gen)
        where T : struct => Gen.OneOf(Gen.Constant((T?)null), gen.Select(value => (T?)value));

    static Gen<DateTimeOffset?> MaybeDay => Maybe(Days.Select(Day));

    static Gen<StripeSubscription> Subscriptions(string id) =>
        from status in Gen.Elements("trialing", "active", "active", "past_due", "past_due", "unpaid", "paused", "canceled", "incomplete", "incomplete_expired", "something_new")
        from prices in Gen.Elements("price_starter", "price_pro", "price_seats").NonEmptyListOf()
        from pause in Gen.Elements(null, null, "void", "keep_as_draft")
        from period in MaybeDay
        from created in Days
        from ended in MaybeDay
        from trial in MaybeDay
        from cancels in MaybeDay
        select new StripeSubscription
        {
            Id = id,
            Status = status,
            Prices = [.. prices.Distinct().Select(price => new StripePrice { Id = price })],
            PauseBehavior = pause,
            CurrentPeriodStart = period,
            CreatedAt = Day(created),
            EndedAt = ended,
            TrialEnd = trial,
            CancelAt = cancels,
        };

    static Gen<Canonical> CustomersOf(int number) =>
        from deleted in Gen.Frequency((9, Gen.Constant(false)), (1, Gen.Constant(true)))
        from first in Subscriptions($"sub_{number}_1")
        from second in Subscriptions($"sub_{number}_2")
        from count in Gen.Choose(0, 2)
        from invoices in (from which in Gen.Choose(1, 2) from finalized in MaybeDay from due in MaybeDay select (which, finalized, due)).ListOf()
        from beta in Gen.Elements(true, false)
        select new Canonical
        {
            Deleted = deleted,
            Subscriptions = count == 0 ? [] : count == 1 ? [first] : [first, second],
            OpenInvoices = [.. invoices.Take(3).Select((invoice, index) => new StripeInvoice
            {
                Id = $"in_{number}_{index}", SubscriptionId = $"sub_{number}_{invoice.which}", FinalizedAt = invoice.finalized, DueDate = invoice.due,
            })],
            ActiveEntitlements = beta ? ["beta"] : [],
        };

    static readonly Gen<Canonical[]> Customers =
        from count in Gen.Choose(0, 3)
        from first in CustomersOf(1)
        from second in CustomersOf(2)
        from third in CustomersOf(3)
        select new[] { first, second, third }[..count];

    static readonly Gen<BillingOverride> Override =
        from effect in Gen.Elements("deny", "grant", "grant", "pin", "pin", "pin")
        from state in Gen.Elements(null, null, "trial", "active", "grace", "expired", "suspended")
        from plan in Gen.Elements(null, null, "pro-1", "special")
        from capabilities in Gen.Elements<string[]?>(null, null, ["sso"], [])
        from seats in Maybe(Gen.Choose(0, 200))
        from trial in MaybeDay
        from grace in MaybeDay
        from created in Gen.Choose(-20, 0)
        from expires in MaybeDay
        from id in Gen.Choose(1, int.MaxValue)
        select new BillingOverride
        {
            Id = new Guid(id, 0, 0, new byte[8]),
            Effect = effect,
            State = new OverrideState
            {
                SubscriptionState = state,
                PlanVersion = plan,
                Capabilities = capabilities,
                Limits = seats is { } most ? new Dictionary<string, long> { ["seats"] = most } : null,
                TrialEndsAt = trial,
                GraceUntil = grace,
            },
            CreatedAt = Day(created),
            ExpiresAt = expires,
        };

    static readonly Gen<Case> Cases =
        from customers in Customers
        from overrides in Override.ListOf()
        from count in Gen.Choose(0, 3)
        from trial in Days
        from before in Customers
        from later in Gen.Choose(0, 24 * 100)
        select new Case
        {
            Customers = customers,
            Overrides = [.. overrides.DistinctBy(one => one.Id).Take(count)],
            TrialEndsAt = Day(trial),
            Before = before,
            Later = Now.AddHours(later),
        };
}
