namespace Pulse.Contracts.Hooks;

/// <summary>Have the platform take back what it made, or may have made, for an organization that did not come to be.</summary>
public sealed record UndoProvisionHook
{
    public required Guid SignupId { get; init; }
    public required Guid OrgId { get; init; }
}
