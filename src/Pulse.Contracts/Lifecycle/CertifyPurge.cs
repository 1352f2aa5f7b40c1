namespace Pulse.Contracts.Lifecycle;

/// <summary>The last step of a purge: nothing of the organization is left, and a tombstone says so. Without its id, which would be something that is left.</summary>
public sealed record CertifyPurge
{
    /// <summary>The purge.</summary>
    public required Guid PurgeId { get; init; }
}
