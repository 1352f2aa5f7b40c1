using Pulse.Catalog;
using Pulse.Worker.Billing;

namespace Pulse.Tests.Billing;

/// <summary>What Stripe and operators say in these tests; change what a test is about with <c>with</c>.</summary>
static class Bill
{
    public static readonly DateTimeOffset Now = new(2026, 3, 10, 12, 0, 0, TimeSpan.Zero);

    public static readonly Plan Starter = new()
    {
        PlanVersion = "starter-1",
        Prices = ["price_starter", "starter_monthly"],
        Capabilities = ["export", "projects"],
        Limits = new SortedDictionary<string, long> { ["projects"] = 10, ["seats"] = 10 },
        Meters = ["calls"],
    };

    public static readonly Plan Pro = new()
    {
        PlanVersion = "pro-1",
        Prices = ["price_pro"],
        Capabilities = ["projects", "sso"],
        Limits = new SortedDictionary<string, long> { ["seats"] = 100 },
        GraceDays = 21,
    };

    public static readonly Plan Seats = new()
    {
        PlanVersion = "seats-1",
        Prices = ["price_seats"],
        AddOn = true,
        Capabilities = ["guests"],
        Limits = new SortedDictionary<string, long> { ["seats"] = 250 },
    };

    public static readonly Plan Trial = new()
    {
        PlanVersion = "trial",
        Capabilities = ["projects"],
        Limits = new SortedDictionary<string, long> { ["projects"] = 3 },
    };

    public static readonly Plans Plans = new([Trial, Starter, Pro, Seats]);

    public static readonly DateTimeOffset TrialEndsAt = Now.AddDays(10);

    public static DateTimeOffset Day(int day) => Now.AddDays(day);

    /// <summary>An active one at Starter's price.</summary>
    public static StripeSubscription Subscription(string status = "active", string price = "price_starter", string id = "sub_1") => new()
    {
        Id = id,
        Status = status,
        Prices = [new StripePrice { Id = price }],
        CreatedAt = Day(-40),
        CurrentPeriodStart = Day(-9),
        CurrentPeriodEnd = Day(21),
    };

    public static StripeInvoice Invoice(int finalized, int? due = null, string id = "in_1", string subscription = "sub_1") => new()
    {
        Id = id,
        SubscriptionId = subscription,
        FinalizedAt = Day(finalized),
        DueDate = due is { } day ? Day(day) : null,
    };

    public static Canonical Customer(params StripeSubscription[] subscriptions) => new()
    {
        Subscriptions = subscriptions,
        OpenInvoices = [],
        ActiveEntitlements = [],
    };

    public static BillingOverride Override(string effect = "pin", OverrideState? state = null, int created = -1, int? expires = null) => new()
    {
        Id = Guid.CreateVersion7(Day(created)),
        Effect = effect,
        State = state ?? new OverrideState(),
        CreatedAt = Day(created),
        ExpiresAt = expires is { } day ? Day(day) : null,
    };

    public static IReadOnlyList<Segment> Timeline(
        Canonical[]? customers = null, BillingOverride[]? overrides = null, Segment? previous = null, DateTimeOffset? now = null, DateTimeOffset? trialEndsAt = null) =>
        BillingRules.Timeline(customers ?? [], overrides ?? [], trialEndsAt ?? TrialEndsAt, previous, Plans, now ?? Now);

    public static Segment Underlying(Canonical[] customers, Segment? previous = null, DateTimeOffset? now = null) =>
        BillingRules.Underlying(customers, TrialEndsAt, previous, Plans, now ?? Now);

    /// <summary>Each state and the day from which on it holds; the first has none.</summary>
    public static string Told(this IReadOnlyList<Segment> timeline) => string.Join(", ", timeline.Select((segment, index) =>
        index == 0 ? segment.State : $"{(segment.From - Now).TotalDays}: {segment.State}"));
}
