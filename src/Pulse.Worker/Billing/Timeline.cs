using System.Text.Json.Serialization;

namespace Pulse.Worker.Billing;

/// <summary>What a tenant may do from a moment on: an element of <c>billing_states.timeline</c>.</summary>
sealed record Segment
{
    public required DateTimeOffset From { get; init; }

    /// <summary>trial, active, grace, expired or suspended.</summary>
    public required string State { get; init; }
    public required string PlanVersion { get; init; }
    public required IReadOnlyList<string> Capabilities { get; init; }

    /// <summary>A limit that is missing is none.</summary>
    public required IReadOnlyDictionary<string, long> Limits { get; init; }
    public required IReadOnlyList<string> MetersEnabled { get; init; }
    public DateTimeOffset? TrialEndsAt { get; init; }
    public DateTimeOffset? GraceUntil { get; init; }

    /// <summary>When the subscription is to be cancelled. Shown only: it ends when it has ended at Stripe.</summary>
    public DateTimeOffset? CancelsAt { get; init; }

    /// <summary>local_trial, stripe or override: who decided.</summary>
    public required string Source { get; init; }
    public string? SubscriptionId { get; init; }

    /// <summary>The open invoice that grace is counted from.</summary>
    public string? InvoiceId { get; init; }
    public Guid? OverrideId { get; init; }

    /// <summary>Stripe said something that Pulse doesn't know: this is what was known before.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingDefault)]
    public bool Stale { get; init; }

    /// <summary>Several overrides of one rank are in force: the newest won.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingDefault)]
    public bool Conflict { get; init; }
}
