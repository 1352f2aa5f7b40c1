namespace Pulse.Worker.Billing;

/// <summary>What an operator decided over Stripe's head: a row of <c>pulse.billing_overrides</c>.</summary>
sealed record BillingOverride
{
    public required Guid Id { get; init; }

    /// <summary>deny, grant or pin.</summary>
    public required string Effect { get; init; }

    public required OverrideState State { get; init; }

    public required DateTimeOffset CreatedAt { get; init; }

    /// <summary>From then on it is not in force; null for never.</summary>
    public DateTimeOffset? ExpiresAt { get; init; }

    /// <summary>Set once it is taken back: it is not in force then, whatever the clock says.</summary>
    public DateTimeOffset? RevokedAt { get; init; }
}

/// <summary>The parts of a billing state that an override says. What is null it leaves to what lies under it.</summary>
sealed record OverrideState
{
    /// <summary>trial, active, grace, expired or suspended.</summary>
    public string? SubscriptionState { get; init; }

    /// <summary>One of the plans file stands for all that the plan has; any other name is only shown.</summary>
    public string? PlanVersion { get; init; }
    public IReadOnlyList<string>? Capabilities { get; init; }

    /// <summary>All of them: one that is missing is none. Of a grant: what those that there are are raised to.</summary>
    public IReadOnlyDictionary<string, long>? Limits { get; init; }
    public IReadOnlyList<string>? MetersEnabled { get; init; }
    public DateTimeOffset? TrialEndsAt { get; init; }
    public DateTimeOffset? GraceUntil { get; init; }
}
