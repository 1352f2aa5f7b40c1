namespace Pulse.Worker.Lifecycle;

/// <summary>Where an organization is in its life: its row, locked.</summary>
sealed record Organization
{
    public required Guid OrgId { get; init; }
    public required bool IsDefault { get; init; }

    /// <summary>active, suspended or pending_deletion.</summary>
    public required string Status { get; init; }
    public DateTimeOffset? SuspendedAt { get; init; }
    public string? SuspendReason { get; init; }
    public DateTimeOffset? DeletionRequestedAt { get; init; }
    public int? RetentionDays { get; init; }
    public DateTimeOffset? PurgeAfter { get; init; }

    /// <summary>Which of its deletions it is: the operation that asked for it.</summary>
    public Guid? DeletionId { get; init; }

    /// <summary>It may be purged without an export.</summary>
    public bool ExportWaived { get; init; }
    public string? StatusBeforeDeletion { get; init; }
    public DateTimeOffset? PurgeStartedAt { get; init; }
    public DateTimeOffset? LegalHoldAt { get; init; }
    public string? LegalHoldReason { get; init; }
    public string? LegalHoldBy { get; init; }
}
