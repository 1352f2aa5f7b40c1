namespace Pulse.Contracts.Provisioning;

/// <summary>A signup was given up: it stayed without an end through every attempt to drive it on.</summary>
public sealed record ProvisioningFailed
{
    /// <summary>The signup that was given up.</summary>
    public required Guid SignupId { get; init; }

    /// <summary>When it was given up, UTC.</summary>
    public required DateTimeOffset FailedAt { get; init; }
}
