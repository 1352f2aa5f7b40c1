namespace Pulse.Contracts.Lifecycle;

/// <summary>An organization has nothing outside of Pulse any more.</summary>
public sealed record TenantDeprovisioned
{
    /// <summary>The purge, which goes on when it is answered.</summary>
    public required Guid PurgeId { get; init; }

    /// <summary>The organization.</summary>
    public required Guid OrgId { get; init; }
}
