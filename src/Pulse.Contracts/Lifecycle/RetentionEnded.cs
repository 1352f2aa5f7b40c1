namespace Pulse.Contracts.Lifecycle;

/// <summary>A deleted organization's retention is over: it may be purged, if it is still so when it is locked. A stale one means nothing.</summary>
public sealed record RetentionEnded
{
    /// <summary>The organization.</summary>
    public required Guid OrgId { get; init; }

    /// <summary>Which of its deletions: restored and deleted again, it has another.</summary>
    public required Guid DeletionId { get; init; }
}
