namespace Pulse.Contracts.Lifecycle;

/// <summary>An organization was deleted: its subscriptions are to end with what is paid.</summary>
public sealed record CancelSubscriptions
{
    /// <summary>The organization.</summary>
    public required Guid OrgId { get; init; }

    /// <summary>Which of its deletions.</summary>
    public required Guid DeletionId { get; init; }
}
