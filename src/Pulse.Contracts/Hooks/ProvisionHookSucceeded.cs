namespace Pulse.Contracts.Hooks;

/// <summary>What a new tenant needs outside of Pulse is there.</summary>
public sealed record ProvisionHookSucceeded
{
    public required Guid SignupId { get; init; }
    public required Guid OrgId { get; init; }
}
