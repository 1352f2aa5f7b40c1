namespace Pulse.Contracts.Hooks;

/// <summary>What a new tenant needs outside of Pulse is there.</summary>
public sealed record ProvisionHookSucceeded
{
    /// <summary>The signup, and the correlation id of its provisioning saga.</summary>
    public required Guid SignupId { get; init; }

    /// <summary>The organization.</summary>
    public required Guid OrgId { get; init; }
}
