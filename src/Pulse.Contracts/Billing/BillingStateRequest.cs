using System.Text.Json.Serialization;

namespace Pulse.Contracts.Billing;

/// <summary>
/// What an operator wants an organization's billing state to be: <c>operations.request</c> of <see cref="SetBillingState"/>, validated
/// by ingress.
/// </summary>
/// <remarks>Not a message, but read by another build than wrote it all the same: add to it, change nothing.</remarks>
public sealed record BillingStateRequest
{
    /// <summary>deny, grant or pin.</summary>
    [JsonPropertyName("effect")]
    public required string Effect { get; init; }

    /// <summary>The parts that it sets.</summary>
    [JsonPropertyName("state")]
    public required BillingStateParts State { get; init; }

    /// <summary>What the operator wrote, at most 500 characters.</summary>
    [JsonPropertyName("reason"), JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public string? Reason { get; init; }

    /// <summary>When the override ends by itself, UTC, in the future when it was asked for.</summary>
    [JsonPropertyName("expires_at"), JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public DateTimeOffset? ExpiresAt { get; init; }

    /// <summary>
    /// The version that the state must still have, or nothing is done: 412 <c>precondition_failed</c>. An organization without a row in
    /// <c>billing_states</c> has version 1, as in <c>entitlements_v1</c>.
    /// </summary>
    [JsonPropertyName("if_match"), JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public long? IfMatch { get; init; }
}

/// <summary>Parts of a billing state. What is null was not given: that part stays what it is without the override.</summary>
public sealed record BillingStateParts
{
    /// <summary>trial, active, grace, expired or suspended.</summary>
    [JsonPropertyName("subscription_state"), JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public string? SubscriptionState { get; init; }

    /// <summary>One of the plans file; any other only together with <see cref="Capabilities"/>.</summary>
    [JsonPropertyName("plan_version"), JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public string? PlanVersion { get; init; }

    /// <summary>All of them, each once.</summary>
    [JsonPropertyName("capabilities"), JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public IReadOnlyList<string>? Capabilities { get; init; }

    /// <summary>All of them, none below 0. One that is missing is no limit.</summary>
    [JsonPropertyName("limits"), JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public IReadOnlyDictionary<string, long>? Limits { get; init; }

    /// <summary>All of them, each once.</summary>
    [JsonPropertyName("meters_enabled"), JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public IReadOnlyList<string>? MetersEnabled { get; init; }

    /// <summary>UTC.</summary>
    [JsonPropertyName("trial_ends_at"), JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public DateTimeOffset? TrialEndsAt { get; init; }

    /// <summary>UTC.</summary>
    [JsonPropertyName("grace_until"), JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public DateTimeOffset? GraceUntil { get; init; }
}

/// <summary><c>operations.request</c> of <see cref="RevokeBillingOverride"/>.</summary>
public sealed record BillingOverrideRevocation
{
    /// <summary>As of <see cref="BillingStateRequest.IfMatch"/>.</summary>
    [JsonPropertyName("if_match"), JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public long? IfMatch { get; init; }
}
