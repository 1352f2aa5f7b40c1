using System.Text.Json;
using System.Text.Json.Serialization;

namespace Pulse.Ingress.Admin;

/// <summary>An organization as operators see it.</summary>
sealed record Organization
{
    /// <summary>Its id; <c>default</c> for the platform's own.</summary>
    public required string OrgId { get; init; }
    public required string Name { get; init; }

    /// <summary>active, suspended or pending_deletion.</summary>
    public required string Status { get; init; }

    /// <summary>Null for the platform's own: it has no owner.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.Never)]
    public required string? OwnerEmail { get; init; }
    public required DateTime CreatedAt { get; init; }
    public DateTime? SuspendedAt { get; init; }
    public string? SuspendReason { get; init; }
    public DateTime? DeletionRequestedAt { get; init; }
    public int? RetentionDays { get; init; }

    /// <summary>From when on it is purged.</summary>
    public DateTime? PurgeAfter { get; init; }

    /// <summary>Since when it is being purged: nothing brings it back.</summary>
    public DateTime? PurgeStartedAt { get; init; }

    /// <summary>Since when nothing may purge it.</summary>
    public DateTime? LegalHoldAt { get; init; }
    public string? LegalHoldReason { get; init; }

    /// <summary>The same organization where <paramref name="now"/> says that it stands in its life.</summary>
    public Organization With(LifecycleState now) => this with
    {
        Status = now.Status,
        SuspendedAt = now.SuspendedAt?.UtcDateTime,
        SuspendReason = now.SuspendReason,
        DeletionRequestedAt = now.DeletionRequestedAt?.UtcDateTime,
        RetentionDays = now.RetentionDays,
        PurgeAfter = now.PurgeAfter?.UtcDateTime,
        LegalHoldAt = now.LegalHoldAt?.UtcDateTime,
        LegalHoldReason = now.LegalHoldReason,
    };
}

/// <summary>The result of a verb, as the worker stores it.</summary>
sealed record LifecycleState
{
    public required string Status { get; init; }
    public DateTimeOffset? SuspendedAt { get; init; }
    public string? SuspendReason { get; init; }
    public DateTimeOffset? DeletionRequestedAt { get; init; }
    public int? RetentionDays { get; init; }
    public DateTimeOffset? PurgeAfter { get; init; }
    public DateTimeOffset? LegalHoldAt { get; init; }
    public string? LegalHoldReason { get; init; }
}

/// <summary>One change.</summary>
sealed record AuditEntry
{
    public required long Id { get; init; }
    public required DateTime At { get; init; }

    /// <summary><c>key:&lt;id&gt;</c>, <c>oidc:&lt;subject&gt;</c>, or what did it by itself: stripe, clock, reconciliation, plans, reaper, cli.</summary>
    public required string Actor { get; init; }
    public required string Action { get; init; }

    /// <summary>The organization that it is about, if it is about one; left out in an organization's own list.</summary>
    public string? OrgId { get; init; }

    [JsonIgnore(Condition = JsonIgnoreCondition.Never)]
    public required JsonElement? Before { get; init; }

    [JsonIgnore(Condition = JsonIgnoreCondition.Never)]
    public required JsonElement? After { get; init; }

    /// <summary>The operation, message or event that brought it about.</summary>
    public string? Cause { get; init; }
}
