using Pulse.Catalog;
using Pulse.Messaging;

namespace Pulse.Worker.Billing;

/// <summary>What billing decides, without I/O.</summary>
static class BillingRules
{
    /// <summary>Counts the changes of these rules.</summary>
    public const int Version = 1;

    /// <summary>Of these rules and these plans: with another one everything that was computed before is computed again.</summary>
    public static string InForce(Plans plans) => $"{plans.Hash}.{Version}";

    /// <summary>From access to nothing, best first.</summary>
    public static readonly IReadOnlyList<string> States = ["active", "trial", "grace", "suspended", "expired"];

    static readonly TimeSpan SuspendedAtMost = TimeSpan.FromDays(30);

    // What holds since before any clock.
    static readonly DateTimeOffset Ever = DateTimeOffset.MinValue;

    /// <summary>What the tenant may do now, and from each boundary known today on.</summary>
    /// <param name="customers">What Stripe says of each of its customers.</param>
    /// <param name="overrides">What operators said.</param>
    /// <param name="trialEndsAt">When its local trial ends; null for none.</param>
    /// <param name="previous">What <see cref="Underlying"/> was last; null when it was never computed.</param>
    /// <param name="plans">What is sold.</param>
    /// <param name="now">The time.</param>
    /// <param name="keepUnknownPrices">A subscription at a price that no plan has keeps what it had, marked stale, instead of the exception.</param>
    /// <exception cref="UnknownPriceException">A subscription is sold at a price that no plan has.</exception>
    public static IReadOnlyList<Segment> Timeline(
        IReadOnlyList<Canonical> customers, IReadOnlyList<BillingOverride> overrides, DateTimeOffset? trialEndsAt, Segment? previous, Plans plans, DateTimeOffset now,
        bool keepUnknownPrices = false)
    {
        var holdings = Holdings(customers, previous, plans, now, keepUnknownPrices);
        var standing = overrides.Where(one => one.RevokedAt is null).ToList();

        List<Segment> segments = [At(now)];
        foreach (var boundary in Boundaries(holdings, standing, trialEndsAt).Where(time => time > now && time < DateTimeOffset.MaxValue).Distinct().Order())
        {
            if (At(boundary) is var next && !next.SaysTheSameAs(segments[^1]))
                segments.Add(next);
        }

        return segments;

        Segment At(DateTimeOffset time)
        {
            var effective = Effective(holdings, standing.FindAll(one => !(one.ExpiresAt <= time)), trialEndsAt, plans, time);
            // When it began, where that is known; a boundary is the beginning of what it brings.
            return effective with { From = time > now || effective.From == Ever || effective.From > time ? time : effective.From };
        }
    }

    /// <summary>What the tenant may do now without any override, and what has to be remembered for the next time.</summary>
    /// <exception cref="UnknownPriceException">A subscription is sold at a price that no plan has.</exception>
    public static Segment Underlying(
        IReadOnlyList<Canonical> customers, DateTimeOffset? trialEndsAt, Segment? previous, Plans plans, DateTimeOffset now, bool keepUnknownPrices = false)
    {
        var holdings = Holdings(customers, previous, plans, now, keepUnknownPrices);
        var known = holdings.Where(holding => !holding.Unknown).DistinctBy(holding => holding.Gives.SubscriptionId)
            .ToDictionary(holding => holding.Gives.SubscriptionId!, holding => holding with { Gives = Normal(holding.Gives) });
        var underlying = Normal(Under(holdings, trialEndsAt, plans, now)) with { Known = known.Count > 0 ? Sorted(known) : null };
        underlying = underlying with { From = underlying.From == Ever || underlying.From > now ? now : underlying.From };
        return previous?.SaysTheSameAs(underlying) == true ? previous : underlying;
    }

    // --- Stripe and the local trial ---------------------------------------------------------------------------------------

    static List<Holding> Holdings(IReadOnlyList<Canonical> customers, Segment? previous, Plans plans, DateTimeOffset now, bool keepUnknownPrices) =>
    [
        .. from customer in customers
           where !customer.Deleted
           from subscription in customer.Subscriptions
           let holding = HoldingOf(customer, subscription, previous, plans, now, keepUnknownPrices)
           where holding is not null
           select holding,
    ];

    // The status table. Null: it contributes nothing.
    static Holding? HoldingOf(Canonical customer, StripeSubscription subscription, Segment? previous, Plans plans, DateTimeOffset now, bool keepUnknownPrices)
    {
        if (subscription.Status is "incomplete" or "incomplete_expired")
            return null;
        if (subscription.Status is not ("trialing" or "active" or "past_due" or "unpaid" or "paused" or "canceled"))
            return Stale(subscription, previous);
        if (PlanOf(subscription, plans, keepUnknownPrices) is not { } plan)
            return Stale(subscription, previous);

        var gives = new Segment
        {
            From = Ever,
            State = "",
            PlanVersion = plan.PlanVersion,
            Capabilities = [.. plan.Capabilities, .. customer.ActiveEntitlements],
            Limits = plan.Limits,
            MetersEnabled = plan.Meters,
            Source = "stripe",
            SubscriptionId = subscription.Id,
            CancelsAt = subscription.CancelAt ?? (subscription.CancelAtPeriodEnd ? subscription.CurrentPeriodEnd : null),
        };
        switch (subscription.Status)
        {
            case "trialing":
                return Of(gives with { TrialEndsAt = subscription.TrialEnd }, PhasesOf("trial"));

            case "active" when subscription.PauseBehavior != "void":
                return Of(gives, PhasesOf("active"));

            case "past_due":
                var (invoice, since) = Debt(customer, subscription);
                var graceUntil = Later(since, TimeSpan.FromDays(plan.GraceDays));
                return Of(gives with { GraceUntil = graceUntil, InvoiceId = invoice }, PhasesOf("grace", graceUntil: graceUntil));

            case "canceled":
                return Of(gives with { CancelsAt = null }, [new(subscription.EndedAt ?? Ever, "expired")]);

            case "unpaid":
                // Stripe doesn't tell since when. A debt that outlived its grace has suspended it then at the latest, however late Pulse hears of it.
                var (unpaid, from) = Debt(customer, subscription);
                var known = PausedSince(subscription);
                var debtIsOver = Later(from, TimeSpan.FromDays(plan.GraceDays));
                return Of(gives with { InvoiceId = unpaid }, PhasesOf("suspended", suspendedSince: debtIsOver < known ? debtIsOver : known)) with { PausedSince = known };

            default:
                var paused = PausedSince(subscription);
                return Of(gives, PhasesOf("suspended", suspendedSince: paused)) with { PausedSince = paused };
        }

        Holding Of(Segment what, IReadOnlyList<Phase> phases) => new() { Gives = what, Phases = phases, CreatedAt = subscription.CreatedAt, AddOn = plan.AddOn };

        DateTimeOffset PausedSince(StripeSubscription paused) => Known(previous, paused)?.PausedSince ?? now;
    }

    // What it was goes on, with the boundaries that it had.
    static Holding Stale(StripeSubscription subscription, Segment? previous) => Known(previous, subscription) is { } known
        ? known with { Gives = known.Gives with { Stale = true } }
        : new()
        {
            Gives = new Segment { From = Ever, State = "", PlanVersion = "", Capabilities = [], Limits = NoLimits, MetersEnabled = [], Source = "stripe" },
            Phases = PhasesOf(""),
            CreatedAt = subscription.CreatedAt,
            Unknown = true,
        };

    static Holding? Known(Segment? previous, StripeSubscription subscription) => previous?.Known?.GetValueOrDefault(subscription.Id);

    // The debt's age is Stripe's to tell, so a repeated past_due moves nothing. An invoice that is sent is late from its due date on.
    static (string? Invoice, DateTimeOffset Since) Debt(Canonical customer, StripeSubscription subscription) =>
        customer.OpenInvoices
            .Where(invoice => invoice.SubscriptionId == subscription.Id)
            .Select(invoice => (Invoice: (string?)invoice.Id, Since: invoice.DueDate ?? invoice.FinalizedAt))
            .Where(debt => debt.Since is not null)
            .OrderBy(debt => debt.Since).ThenBy(debt => debt.Invoice, StringComparer.Ordinal)
            .Select(debt => (debt.Invoice, debt.Since!.Value))
            .FirstOrDefault((null, subscription.CurrentPeriodStart ?? subscription.CreatedAt));

    // Of several prices: the first plan by name is what it is called, and add-ons only add. Null: at none that is known.
    static Plan? PlanOf(StripeSubscription subscription, Plans plans, bool keepUnknownPrices)
    {
        var sold = new List<Plan>();
        foreach (var price in subscription.Prices)
        {
            if (plans.Find(price.Id, price.LookupKey) is { } plan)
                sold.Add(plan);
            // What has ended may have been sold at a price of long ago.
            else if (subscription.Status == "canceled")
                sold.Add(new Plan { PlanVersion = price.LookupKey ?? price.Id });
            else if (keepUnknownPrices)
                return null;
            else
                throw new UnknownPriceException(price.Id);
        }

        if (sold.Count == 0)
            return null;

        var main = sold.Where(plan => !plan.AddOn).DefaultIfEmpty(sold[0]).OrderBy(plan => plan.PlanVersion, StringComparer.Ordinal).ToList();
        return main[0] with
        {
            AddOn = sold.TrueForAll(plan => plan.AddOn),
            Capabilities = [.. sold.SelectMany(plan => plan.Capabilities)],
            Limits = sold.Where(plan => plan.AddOn).Aggregate(Most(main.Select(plan => plan.Limits)), (limits, addOn) => Raised(limits, addOn.Limits)),
            Meters = [.. sold.SelectMany(plan => plan.Meters)],
            GraceDays = main.Max(plan => plan.GraceDays),
        };
    }

    // The same, but in grace until then.
    static Holding Until(this Holding holding, DateTimeOffset? grace) => grace is null || holding.Phases[0].State != "grace"
        ? holding
        : holding with { Gives = holding.Gives with { GraceUntil = grace }, Phases = PhasesOf("grace", graceUntil: grace) };

    static Phase[] PhasesOf(string state, DateTimeOffset? trialEndsAt = null, DateTimeOffset? graceUntil = null, DateTimeOffset? suspendedSince = null) => state switch
    {
        "trial" when trialEndsAt is { } end => [new(Ever, "trial"), new(end, "expired")],
        "grace" when graceUntil is { } end => [new(Ever, "grace"), new(end, "suspended"), new(Later(end, SuspendedAtMost), "expired")],
        "suspended" when suspendedSince is { } since => [new(since, "suspended"), new(Later(since, SuspendedAtMost), "expired")],
        _ => [new(Ever, state)],
    };

    static Phase At(IReadOnlyList<Phase> phases, DateTimeOffset time) =>
        phases.Where(phase => phase.From <= time).DefaultIfEmpty(phases[0]).Last();

    // What there is without overrides: the best of the subscriptions, together with what the others that give access have.
    static Segment Under(List<Holding> holdings, DateTimeOffset? trialEndsAt, Plans plans, DateTimeOffset time, OverrideState? replaces = null)
    {
        var stale = holdings.Exists(holding => holding.Unknown);
        var held = (from holding in holdings
                    where !holding.Unknown
                    let moved = holding.Until(replaces?.GraceUntil)
                    let phase = At(moved.Phases, time)
                    let gives = moved.Gives with { State = phase.State, From = phase.From }
                    orderby Rank(gives.State), gives.Stale, gives.GraceUntil descending, holding.CreatedAt descending, gives.SubscriptionId
                    select (gives, holding.AddOn)).ToLookup(one => one.AddOn, one => one.gives);
        var main = (held[false].Any() ? held[false] : held[true]).ToList();
        if (main.Count == 0)
            return LocalTrial(replaces?.TrialEndsAt ?? trialEndsAt, plans, time) with { Stale = stale };

        var best = main[0];
        var giving = best.GivesAccess ? main.FindAll(one => one.GivesAccess) : [best];
        var addOns = best.GivesAccess && held[false].Any() ? held[true].Where(one => one.GivesAccess).ToList() : [];
        return best with
        {
            Capabilities = [.. giving.Concat(addOns).SelectMany(one => one.Capabilities)],
            Limits = addOns.Aggregate(Most(giving.Select(one => one.Limits)), (limits, addOn) => Raised(limits, addOn.Limits)),
            MetersEnabled = [.. giving.Concat(addOns).SelectMany(one => one.MetersEnabled)],
            Stale = stale || main.Concat(addOns).Any(one => one.Stale),
        };
    }

    static Segment LocalTrial(DateTimeOffset? endsAt, Plans plans, DateTimeOffset time)
    {
        var phase = At(endsAt is null ? PhasesOf("expired") : PhasesOf("trial", trialEndsAt: endsAt), time);
        return new Segment
        {
            From = phase.From,
            State = phase.State,
            PlanVersion = plans.Trial.PlanVersion,
            Capabilities = plans.Trial.Capabilities,
            Limits = plans.Trial.Limits,
            MetersEnabled = plans.Trial.Meters,
            TrialEndsAt = endsAt,
            Source = "local_trial",
        };
    }

    // --- overrides --------------------------------------------------------------------------------------------------------

    // deny over grant or pin over what lies under them; of one rank the newest.
    static Segment Effective(List<Holding> holdings, List<BillingOverride> inForce, DateTimeOffset? trialEndsAt, Plans plans, DateTimeOffset time)
    {
        var granted = inForce.Where(one => one.Effect != "deny").OrderByDescending(one => one.CreatedAt).ThenByDescending(one => one.Id).ToList();
        var denied = inForce.Where(one => one.Effect == "deny").OrderByDescending(one => one.CreatedAt).ThenByDescending(one => one.Id).ToList();

        var segment = Under(holdings, trialEndsAt, plans, time, granted.FirstOrDefault()?.State);
        var set = granted.Count == 0 ? segment
            : granted[0].Effect == "pin" ? Pinned(segment, granted[0].State, plans, time)
            : Granted(segment, granted[0].State, plans, time);
        // A grant of less than there is leaves things as they are.
        if (!ReferenceEquals(set, segment))
        {
            segment = set with
            {
                From = Ever,
                Source = "override",
                OverrideId = granted[0].Id,
                Conflict = granted.Count > 1,
            };
        }

        if (denied.Count > 0)
        {
            segment = InState(segment, denied[0].State.SubscriptionState is "expired" ? "expired" : "suspended") with
            {
                From = Ever,
                Source = "override",
                OverrideId = denied[0].Id,
                Conflict = denied.Count > 1,
            };
        }

        return Normal(segment);
    }

    // Sets what it says.
    static Segment Pinned(Segment under, OverrideState said, Plans plans, DateTimeOffset time)
    {
        var plan = said.PlanVersion is { } name ? plans.Named(name) : null;
        var segment = said.SubscriptionState is null ? under : InState(under, Said(said, time));
        return segment with
        {
            PlanVersion = said.PlanVersion ?? under.PlanVersion,
            Capabilities = said.Capabilities ?? plan?.Capabilities ?? under.Capabilities,
            Limits = said.Limits ?? plan?.Limits ?? under.Limits,
            MetersEnabled = said.MetersEnabled ?? plan?.Meters ?? under.MetersEnabled,
            // Without a state, an end moves the one under it, where there is one, and that has been done already.
            TrialEndsAt = (said.SubscriptionState is null ? null : said.TrialEndsAt) ?? segment.TrialEndsAt,
            GraceUntil = (said.SubscriptionState is null ? null : said.GraceUntil) ?? segment.GraceUntil,
        };
    }

    // Adds what it says, and never takes anything away. One that names no state gives access.
    static Segment Granted(Segment under, OverrideState said, Plans plans, DateTimeOffset time)
    {
        var plan = said.PlanVersion is { } name ? plans.Named(name) : null;
        var state = said.SubscriptionState is not null ? Said(said, time) : under.GivesAccess ? under.State : "active";
        var better = Rank(state) < Rank(under.State);
        if (!better && Rank(state) > Rank("grace"))
            return under;

        // Where there was no access before, there is nothing to add to: it is a pin then.
        if (!under.GivesAccess)
            return Pinned(under, said with { SubscriptionState = said.SubscriptionState ?? "active" }, plans, time);

        return (better ? InState(under, state) : under) with
        {
            PlanVersion = said.PlanVersion ?? under.PlanVersion,
            Capabilities = [.. under.Capabilities, .. said.Capabilities ?? plan?.Capabilities ?? []],
            Limits = Raised(plan is null ? under.Limits : Most([under.Limits, plan.Limits]), said.Limits),
            MetersEnabled = [.. under.MetersEnabled, .. said.MetersEnabled ?? plan?.Meters ?? []],
            TrialEndsAt = better ? said.TrialEndsAt : under.TrialEndsAt,
            GraceUntil = better ? said.GraceUntil : under.GraceUntil,
        };
    }

    // The state that it names, for as long as the end that it names allows; without one it stands until it is taken back.
    static string Said(OverrideState said, DateTimeOffset time) =>
        At(PhasesOf(said.SubscriptionState!, said.TrialEndsAt, said.GraceUntil), time).State;

    // The dates and ids of another state say nothing of this one.
    static Segment InState(Segment under, string state) => state == under.State
        ? under with { Stale = false }
        : under with { State = state, TrialEndsAt = null, GraceUntil = null, CancelsAt = null, SubscriptionId = null, InvoiceId = null, Stale = false };

    static IEnumerable<DateTimeOffset> Boundaries(List<Holding> holdings, List<BillingOverride> standing, DateTimeOffset? trialEndsAt)
    {
        IEnumerable<OverrideState?> replaced = [null, .. standing.Select(one => one.State)];
        return standing.Select(one => one.ExpiresAt).OfType<DateTimeOffset>()
            .Concat(from said in replaced
                    from phase in holdings.SelectMany(holding => holding.Until(said?.GraceUntil).Phases)
                        .Concat(PhasesOf("trial", trialEndsAt: said?.TrialEndsAt ?? trialEndsAt))
                        .Concat(said?.SubscriptionState is { } state ? PhasesOf(state, said.TrialEndsAt, said.GraceUntil) : [])
                    select phase.From);
    }

    // --- the small ones ---------------------------------------------------------------------------------------------------

    static readonly SortedDictionary<string, long> NoLimits = new(StringComparer.Ordinal);

    static int Rank(string state) => States.Index().First(pair => pair.Item == state).Index;

    // Without access there is nothing to be able to; what a subscription gives has no state of its own. In one order, so that equal ones look equal.
    static Segment Normal(Segment segment) => segment with
    {
        Capabilities = segment.GivesAccess || segment.State.Length == 0 ? Names(segment.Capabilities) : [],
        Limits = Sorted(segment.Limits),
        MetersEnabled = segment.GivesAccess || segment.State.Length == 0 ? Names(segment.MetersEnabled) : [],
    };

    static string[] Names(IReadOnlyList<string> names) => [.. names.Distinct().Order(StringComparer.Ordinal)];

    static SortedDictionary<string, T> Sorted<T>(IReadOnlyDictionary<string, T> values) =>
        new(values.ToDictionary(pair => pair.Key, pair => pair.Value), StringComparer.Ordinal);

    // A limit that one of them doesn't have is none.
    static Dictionary<string, long> Most(IEnumerable<IReadOnlyDictionary<string, long>> limits)
    {
        var all = limits.ToList();
        return all[0].Keys.Where(name => all.TrueForAll(one => one.ContainsKey(name))).ToDictionary(name => name, name => all.Max(one => one[name]));
    }

    // A limit that is not there already is none, and stays none.
    static Dictionary<string, long> Raised(IReadOnlyDictionary<string, long> limits, IReadOnlyDictionary<string, long>? by) =>
        limits.ToDictionary(limit => limit.Key, limit => by?.TryGetValue(limit.Key, out var more) == true ? Math.Max(limit.Value, more) : limit.Value);

    static DateTimeOffset Later(DateTimeOffset time, TimeSpan by) => DateTimeOffset.MaxValue - time < by ? DateTimeOffset.MaxValue : time + by;
}

/// <summary>A subscription is sold at a price that the plans file doesn't have. A replay applies it once the file has it.</summary>
sealed class UnknownPriceException(string priceId) : UnprocessableMessageException($"No plan has the price {priceId}.")
{
    public string PriceId => priceId;
}
