namespace Pulse.Contracts.Lifecycle;

/// <summary>An organization has nothing outside of Pulse any more.</summary>
public sealed record TenantDeprovisioned
{
    public required Guid PurgeId { get; init; }
    public required Guid OrgId { get; init; }
}
