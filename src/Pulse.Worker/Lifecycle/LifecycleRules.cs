using Pulse.Worker.Operations;

namespace Pulse.Worker.Lifecycle;

/// <summary>Which command brings an organization from where to where, without I/O.</summary>
/// <remarks>
/// active → suspended → active; active and suspended → pending_deletion → the status before, or purged. Nothing else.
/// A legal hold is beside all that: it only forbids the purge.
/// </remarks>
static class LifecycleRules
{
    public const int RetentionDaysDefault = 30;
    public const int RetentionDaysLeast = 1;
    public const int RetentionDaysMost = 3650;

    public static Transition Suspend(Organization org, string? reason, DateTimeOffset now) => org switch
    {
        { IsDefault: true } => DefaultStays,
        { Status: "suspended" } => Conflict("already_suspended", "It is suspended already."),
        { Status: "pending_deletion" } => Conflict("pending_deletion", "It is deleted. Restore it first."),
        _ => To(org with { Status = "suspended", SuspendedAt = now, SuspendReason = reason }),
    };

    public static Transition Unsuspend(Organization org) => org switch
    {
        { IsDefault: true } => DefaultStays,
        { Status: not "suspended" } => Conflict("not_suspended", org.Status == "active" ? "It is active." : "It is deleted: restore is what brings it back."),
        _ => To(org with { Status = "active", SuspendedAt = null, SuspendReason = null }),
    };

    /// <param name="org">The organization.</param>
    /// <param name="retentionDays">Whole days.</param>
    /// <param name="now">The time.</param>
    /// <param name="deletionId">The id of this deletion.</param>
    /// <param name="exportWaived">It may be purged without an export.</param>
    /// <param name="from">What the retention is counted from; null: now. See <see cref="ReaperRules.RetentionFrom"/>.</param>
    public static Transition SoftDelete(
        Organization org, int retentionDays, DateTimeOffset now, Guid? deletionId = null, bool exportWaived = false, DateTimeOffset? from = null) => org switch
        {
            { IsDefault: true } => DefaultStays,
            { Status: "pending_deletion" } => Conflict("already_pending_deletion", "It is deleted already."),
            // Ingress has looked; what destroys looks again.
            _ when retentionDays is < RetentionDaysLeast or > RetentionDaysMost => Refused(400, "invalid_retention_days",
                $"retention_days is a whole number from {RetentionDaysLeast} to {RetentionDaysMost}."),
            _ => To(org with
            {
                Status = "pending_deletion",
                StatusBeforeDeletion = org.Status,
                DeletionRequestedAt = now,
                RetentionDays = retentionDays,
                PurgeAfter = (from ?? now) + TimeSpan.FromDays(retentionDays),
                DeletionId = deletionId,
                ExportWaived = exportWaived,
            }),
        };

    public static Transition Restore(Organization org) => org switch
    {
        { IsDefault: true } => DefaultStays,
        { Status: not "pending_deletion" } => Conflict("not_pending_deletion", "It is not deleted."),
        { PurgeStartedAt: not null } => Conflict("purge_started", "Its purge has begun: nothing brings it back."),
        _ => To(org with
        {
            Status = org.StatusBeforeDeletion ?? "suspended",
            StatusBeforeDeletion = null,
            DeletionRequestedAt = null,
            RetentionDays = null,
            PurgeAfter = null,
            DeletionId = null,
            ExportWaived = false,
        }),
    };

    public static Transition Hold(Organization org, string reason, string actor, DateTimeOffset now) => org switch
    {
        { IsDefault: true } => DefaultStays,
        { PurgeStartedAt: not null } => Conflict("purge_started", "Its purge has begun."),
        { LegalHoldAt: not null } => Conflict("already_on_legal_hold", "It is under legal hold already."),
        _ => To(org with { LegalHoldAt = now, LegalHoldReason = reason, LegalHoldBy = actor }),
    };

    public static Transition Release(Organization org) => org switch
    {
        { IsDefault: true } => DefaultStays,
        { LegalHoldAt: null } => Conflict("not_on_legal_hold", "It is not under legal hold."),
        _ => To(org with { LegalHoldAt = null, LegalHoldReason = null, LegalHoldBy = null }),
    };

    /// <summary>Whether a purge may begin now. Asked under the row's lock, just before it does.</summary>
    public static bool MayPurge(Organization org, DateTimeOffset now) => org is
    {
        IsDefault: false, Status: "pending_deletion", LegalHoldAt: null, PurgeStartedAt: null,
        // A retention that is missing or none is a mistake somewhere, not an order.
        RetentionDays: >= RetentionDaysLeast, PurgeAfter: { } after, DeletionRequestedAt: { } requested,
    } && after <= now && requested + TimeSpan.FromDays(org.RetentionDays.Value) <= now;

    static Transition DefaultStays => Refused(400, "default_org_immutable", "The platform's own organization can be neither suspended nor deleted.");

    static Transition To(Organization after) => new(after, null);

    static Transition Conflict(string code, string detail) => Refused(409, code, detail);

    static Transition Refused(int status, string code, string detail) => new(null, new Refusal(status, code, detail));
}

/// <summary>What a command makes of an organization: how it is then, or why not.</summary>
sealed record Transition(Organization? After, Refusal? Refusal);
