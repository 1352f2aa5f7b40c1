namespace Pulse.Contracts.Signups;

/// <summary>
/// A signup was accepted and is stored. What it asks for (email, organization name, password hash) stays in the
/// <c>pulse.signups</c> row: no personal data is on the broker.
/// </summary>
public sealed record SignupRequested
{
    /// <summary>The signup, and the correlation id of its provisioning saga.</summary>
    public required Guid SignupId { get; init; }

    /// <summary>When ingress accepted it, UTC.</summary>
    public required DateTimeOffset AcceptedAt { get; init; }
}
