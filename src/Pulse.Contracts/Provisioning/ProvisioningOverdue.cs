namespace Pulse.Contracts.Provisioning;

/// <summary>A signup is without an end for too long: its saga drives it on, or gives it up.</summary>
public sealed record ProvisioningOverdue
{
    /// <summary>The signup, and the correlation id of its provisioning saga.</summary>
    public required Guid SignupId { get; init; }

    /// <summary>When ingress accepted it, UTC.</summary>
    public required DateTimeOffset AcceptedAt { get; init; }

    /// <summary>How often it was overdue, counted from 1.</summary>
    public required int Attempt { get; init; }
}
