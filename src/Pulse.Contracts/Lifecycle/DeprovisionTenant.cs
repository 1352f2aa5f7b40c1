namespace Pulse.Contracts.Lifecycle;

/// <summary>Have the platform take back what an organization has outside of Pulse, before its rows are deleted.</summary>
public sealed record DeprovisionTenant
{
    /// <summary>The purge, which goes on when it is answered.</summary>
    public required Guid PurgeId { get; init; }

    /// <summary>The organization.</summary>
    public required Guid OrgId { get; init; }
}
