namespace Pulse.Contracts.Lifecycle;

/// <summary>A deleted organization was restored: its subscriptions are to go on, those that its deletion cancelled.</summary>
public sealed record ResumeSubscriptions
{
    /// <summary>The organization.</summary>
    public required Guid OrgId { get; init; }

    /// <summary>The deletion that was taken back.</summary>
    public required Guid DeletionId { get; init; }
}
