namespace Pulse.Contracts.Lifecycle;

/// <summary>An organization's status has changed.</summary>
public sealed record OrganizationStatusChanged
{
    /// <summary>The organization.</summary>
    public required Guid OrgId { get; init; }

    /// <summary>active, suspended or pending_deletion.</summary>
    public required string FromStatus { get; init; }

    /// <summary>active, suspended, pending_deletion or purged.</summary>
    public required string ToStatus { get; init; }

    /// <summary>When the operator's command was accepted, or the timer was due, UTC.</summary>
    public required DateTimeOffset AcceptedAt { get; init; }

    /// <summary>When it changed, UTC.</summary>
    public required DateTimeOffset ChangedAt { get; init; }
}
