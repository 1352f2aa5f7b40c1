namespace Pulse.Contracts.Lifecycle;

/// <summary>The step of a purge that destroys: every row of the organization.</summary>
public sealed record DeleteOrganizationRows
{
    /// <summary>The purge.</summary>
    public required Guid PurgeId { get; init; }

    /// <summary>The organization.</summary>
    public required Guid OrgId { get; init; }
}
