namespace Pulse.Contracts.Hooks;

/// <summary>The platform refused, or was given up. Whatever it may have made is being taken back already.</summary>
public sealed record ProvisionHookFailed
{
    public required Guid SignupId { get; init; }
    public required Guid OrgId { get; init; }
}
