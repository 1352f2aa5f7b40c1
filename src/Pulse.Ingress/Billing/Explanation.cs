using System.Text.Json;

namespace Pulse.Ingress.Billing;

/// <summary>Puts together why a billing state is what it is. Pure.</summary>
static class Explanation
{
    static readonly string[] Precedence = ["lifecycle", "override deny", "override grant or pin", "stripe", "local_trial"];

    public static BillingExplanation Of(BillingFacts facts, DateTimeOffset now)
    {
        var (row, overrides, customers, events) = facts;
        var segment = BillingStateRules.Current(row.Timeline, now);
        var state = BillingStateRules.Effective(segment, row.Lifecycle, row.Version);
        var (customer, status) = Subscription(customers, segment.SubscriptionId);
        var next = BillingStateRules.Next(row.Timeline, now);
        return new BillingExplanation
        {
            OrgId = row.OrgId.ToString(),
            At = now.UtcDateTime,
            State = state,
            DecidedBy = new Decision(
                state.Source, row.Lifecycle, customer, segment.SubscriptionId, status, segment.InvoiceId, segment.OverrideId, segment.Conflict, segment.Stale),
            Precedence = Precedence,
            Overrides = [.. overrides.Select(one => one with { Won = state.Source == "override" && one.OverrideId == segment.OverrideId })],
            Customers = customers,
            Events = events,
            Freshness = new Freshness(row.AsOf, Math.Max(0, (now.UtcDateTime - row.AsOf).TotalSeconds), customers.All(one => one.InStep && one.Problem is null)),
            NextBoundary = next is { From: { } at } ? new NextBoundary(at.UtcDateTime, next.State, next.Source) : null,
        };
    }

    /// <summary>Whose subscription it is, and its status at Stripe as it was last fetched.</summary>
    static (string? CustomerId, string? Status) Subscription(IReadOnlyList<ExplainedCustomer> customers, string? subscriptionId)
    {
        if (subscriptionId is null)
            return (null, null);

        foreach (var customer in customers)
        {
            if (customer.Subscriptions is not { ValueKind: JsonValueKind.Array } subscriptions)
                continue;

            foreach (var subscription in subscriptions.EnumerateArray())
            {
                if (Text(subscription, "id") == subscriptionId)
                    return (customer.CustomerId, Text(subscription, "status"));
            }
        }

        return (null, null);
    }

    static string? Text(JsonElement element, string name) =>
        element.ValueKind == JsonValueKind.Object && element.TryGetProperty(name, out var value) && value.ValueKind == JsonValueKind.String ? value.GetString() : null;
}
