using System.Text.Json.Serialization;

namespace Pulse.Contracts.Billing;

/// <summary>
/// An organization's effective billing state: <c>operations.result</c> of <see cref="SetBillingState"/> and
/// <see cref="RevokeBillingOverride"/>, and the body of <c>GET …/billing-state</c>.
/// </summary>
/// <remarks>
/// Of an organization that is not active nothing but <c>suspended</c> is effective: no capabilities, no meters, source <c>lifecycle</c>.
/// </remarks>
public sealed record BillingStateResult
{
    /// <summary>What it may do; nothing while expired or suspended.</summary>
    [JsonPropertyName("capabilities")]
    public required IReadOnlyList<string> Capabilities { get; init; }

    /// <summary>One that is missing is no limit.</summary>
    [JsonPropertyName("limits")]
    public required IReadOnlyDictionary<string, long> Limits { get; init; }

    /// <summary>What its use is measured by.</summary>
    [JsonPropertyName("meters_enabled")]
    public required IReadOnlyList<string> MetersEnabled { get; init; }

    /// <summary>The plan, as the plans file names it.</summary>
    [JsonPropertyName("plan_version")]
    public required string PlanVersion { get; init; }

    /// <summary>trial, active, grace, expired or suspended.</summary>
    [JsonPropertyName("subscription_state")]
    public required string SubscriptionState { get; init; }

    /// <summary>UTC.</summary>
    [JsonPropertyName("trial_ends_at"), JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public DateTimeOffset? TrialEndsAt { get; init; }

    /// <summary>UTC.</summary>
    [JsonPropertyName("grace_until"), JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public DateTimeOffset? GraceUntil { get; init; }

    /// <summary>Who decided: lifecycle, override, stripe or local_trial.</summary>
    [JsonPropertyName("source")]
    public required string Source { get; init; }

    /// <summary>Grows with every change: the number in <c>ETag</c>.</summary>
    [JsonPropertyName("version")]
    public required long Version { get; init; }
}
