namespace Pulse.Contracts.Hooks;

/// <summary>Have the platform take back what it made, or may have made, for an organization that did not come to be.</summary>
public sealed record UndoProvisionHook
{
    /// <summary>The signup, and the correlation id of its provisioning saga.</summary>
    public required Guid SignupId { get; init; }

    /// <summary>The organization.</summary>
    public required Guid OrgId { get; init; }
}
