using System.Text.Json;

namespace Pulse.Worker.Billing;

/// <summary>What Stripe says of one customer, reduced to what billing reads. Kept as <c>stripe_customers.canonical</c>.</summary>
sealed record Canonical
{
    public static readonly JsonSerializerOptions Json = new(JsonSerializerDefaults.Web)
    {
        PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower,
        DefaultIgnoreCondition = System.Text.Json.Serialization.JsonIgnoreCondition.WhenWritingNull,
    };

    /// <summary>The customer was deleted at Stripe: nothing of it counts any more.</summary>
    public bool Deleted { get; init; }

    /// <summary>Every subscription it has or had.</summary>
    public required IReadOnlyList<StripeSubscription> Subscriptions { get; init; }

    /// <summary>Its invoices that are open: finalized and not paid, voided or written off.</summary>
    public required IReadOnlyList<StripeInvoice> OpenInvoices { get; init; }

    /// <summary>The lookup keys of its active entitlements: capabilities beside the plan's.</summary>
    public required IReadOnlyList<string> ActiveEntitlements { get; init; }
}

/// <summary>One subscription. Status is an open set.</summary>
sealed record StripeSubscription
{
    public required string Id { get; init; }
    public required string Status { get; init; }
    public required IReadOnlyList<StripePrice> Prices { get; init; }
    public DateTimeOffset CreatedAt { get; init; }
    public DateTimeOffset? TrialEnd { get; init; }
    public DateTimeOffset? CurrentPeriodStart { get; init; }
    public DateTimeOffset? CurrentPeriodEnd { get; init; }
    public bool CancelAtPeriodEnd { get; init; }
    public DateTimeOffset? CancelAt { get; init; }
    public DateTimeOffset? EndedAt { get; init; }

    /// <summary>Of pause_collection: keep_as_draft, mark_uncollectible or void.</summary>
    public string? PauseBehavior { get; init; }

    /// <summary>Of status_details.paused.</summary>
    public string? PauseReason { get; init; }

    /// <summary>metadata.org_id.</summary>
    public string? OrgId { get; init; }
}

/// <summary>What one item of a subscription is sold at.</summary>
sealed record StripePrice
{
    public required string Id { get; init; }
    public string? LookupKey { get; init; }
    public string? ProductId { get; init; }
}

/// <summary>An invoice that is open.</summary>
sealed record StripeInvoice
{
    public required string Id { get; init; }
    public string? SubscriptionId { get; init; }
    public DateTimeOffset? FinalizedAt { get; init; }
    public DateTimeOffset? DueDate { get; init; }
}
