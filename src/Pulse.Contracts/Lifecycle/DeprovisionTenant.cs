namespace Pulse.Contracts.Lifecycle;

/// <summary>Have the platform take back what an organization has outside of Pulse, before its rows are deleted.</summary>
public sealed record DeprovisionTenant
{
    public required Guid PurgeId { get; init; }
    public required Guid OrgId { get; init; }
}
