using System.Text.Json;

namespace Pulse.Ingress.Billing;

/// <summary>What an organization may do, as <c>entitlements_v1</c> tells it.</summary>
sealed record EntitlementRow
{
    public required Guid OrgId { get; init; }
    public required long Version { get; init; }

    /// <summary>active, suspended or pending_deletion.</summary>
    public required string Lifecycle { get; init; }

    /// <summary>The platform's own.</summary>
    public required bool Unlimited { get; init; }
    public required IReadOnlyList<TimelineSegment> Timeline { get; init; }
    public required DateTime AsOf { get; init; }
}

/// <summary>What holds from a moment on: an element of <c>entitlements_v1.timeline</c>.</summary>
sealed record TimelineSegment
{
    /// <summary>Null only behind a trial that has no end.</summary>
    public DateTimeOffset? From { get; init; }
    public required string State { get; init; }
    public required string PlanVersion { get; init; }
    public IReadOnlyList<string> Capabilities { get; init; } = [];
    public IReadOnlyDictionary<string, long> Limits { get; init; } = new Dictionary<string, long>();
    public IReadOnlyList<string> MetersEnabled { get; init; } = [];
    public DateTimeOffset? TrialEndsAt { get; init; }
    public DateTimeOffset? GraceUntil { get; init; }

    /// <summary>local_trial, stripe or override.</summary>
    public required string Source { get; init; }
    public string? SubscriptionId { get; init; }
    public string? InvoiceId { get; init; }
    public Guid? OverrideId { get; init; }
    public bool Stale { get; init; }
    public bool Conflict { get; init; }
}

/// <summary>Why a billing state is what it is.</summary>
sealed record BillingExplanation
{
    /// <summary>The organization's id.</summary>
    public required string OrgId { get; init; }

    /// <summary>The moment that it is told of.</summary>
    public required DateTime At { get; init; }

    /// <summary>What is in force.</summary>
    public required Pulse.Contracts.Billing.BillingStateResult State { get; init; }

    /// <summary>Who decided it, and by what.</summary>
    public required Decision DecidedBy { get; init; }

    /// <summary>What else had a say, the strongest first: lifecycle, deny, grant or pin, Stripe, local trial.</summary>
    public required IReadOnlyList<string> Precedence { get; init; }

    /// <summary>The latest overrides, the newest first, those that no longer count too.</summary>
    public required IReadOnlyList<ExplainedOverride> Overrides { get; init; }

    /// <summary>The Stripe customers that are linked to it, as they were fetched.</summary>
    public required IReadOnlyList<ExplainedCustomer> Customers { get; init; }

    /// <summary>The latest events of these customers, the newest first.</summary>
    public required IReadOnlyList<ExplainedEvent> Events { get; init; }
    public required Freshness Freshness { get; init; }

    /// <summary>What will be, when nothing happens until then.</summary>
    public NextBoundary? NextBoundary { get; init; }
}

/// <param name="Source">lifecycle, override, stripe or local_trial.</param>
/// <param name="Lifecycle">The organization's status: it denies everything unless it is active.</param>
/// <param name="SubscriptionId">The subscription whose state it is.</param>
/// <param name="InvoiceId">The open invoice that grace is counted from.</param>
/// <param name="OverrideId">The override that won.</param>
/// <param name="Conflict">Several overrides of one rank are in force: the newest won.</param>
/// <param name="Stale">Stripe said something that Pulse does not know: this is what was known before.</param>
sealed record Decision(
    string Source, string Lifecycle, string? CustomerId, string? SubscriptionId, string? SubscriptionStatus, string? InvoiceId, Guid? OverrideId, bool Conflict, bool Stale);

/// <param name="InForce">Neither revoked nor past its end.</param>
/// <param name="Won">It is what decides.</param>
sealed record ExplainedOverride(
    Guid OverrideId, string Effect, JsonElement State, string? Reason, string Actor, DateTime CreatedAt, DateTime? ExpiresAt, DateTime? RevokedAt, string? RevokedBy,
    bool InForce, bool Won);

/// <param name="InStep">Nothing has been heard of since it was fetched.</param>
/// <param name="Problem">Why it can't be brought into step.</param>
sealed record ExplainedCustomer(
    string CustomerId, string? LinkedBy, DateTime? LinkedAt, bool InStep, DateTime? FetchedAt, DateTime? NextSyncAt, int Failures, string? Problem,
    JsonElement? Subscriptions, JsonElement? OpenInvoices);

sealed record ExplainedEvent(string EventId, string CustomerId, string Type, string Status, DateTime? CreatedAt, DateTime ReceivedAt, DateTime? CompletedAt);

/// <param name="AsOf">When it was last known to be so.</param>
/// <param name="AgeSeconds">How long ago that is.</param>
/// <param name="InStep">All its customers are.</param>
sealed record Freshness(DateTime AsOf, double AgeSeconds, bool InStep);

sealed record NextBoundary(DateTime At, string SubscriptionState, string Source);
