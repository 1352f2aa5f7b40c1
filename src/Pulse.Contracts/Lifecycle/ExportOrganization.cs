namespace Pulse.Contracts.Lifecycle;

/// <summary>The first step of a purge: everything about the organization goes into a file.</summary>
public sealed record ExportOrganization
{
    /// <summary>The purge.</summary>
    public required Guid PurgeId { get; init; }

    /// <summary>The organization.</summary>
    public required Guid OrgId { get; init; }
}
