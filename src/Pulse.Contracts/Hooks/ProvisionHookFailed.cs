namespace Pulse.Contracts.Hooks;

/// <summary>The platform refused, or was given up. Whatever it may have made is being taken back already.</summary>
public sealed record ProvisionHookFailed
{
    /// <summary>The signup, and the correlation id of its provisioning saga.</summary>
    public required Guid SignupId { get; init; }

    /// <summary>The organization.</summary>
    public required Guid OrgId { get; init; }
}
