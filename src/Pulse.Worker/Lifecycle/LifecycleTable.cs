using System.Text.Json;
using System.Text.Json.Serialization;
using Npgsql;
using NpgsqlTypes;
using Pulse.Messaging;

namespace Pulse.Worker.Lifecycle;

/// <summary>Statements on where organizations are in their lives.</summary>
static class LifecycleTable
{
    static readonly JsonSerializerOptions Json = new(JsonSerializerDefaults.Web)
    {
        PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower,
        DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull,
    };

    internal const string LockSql = """
        select is_default, status, suspended_at, suspend_reason, deletion_requested_at, retention_days, purge_after, status_before_deletion,
            purge_started_at, legal_hold_at, legal_hold_reason, legal_hold_by, deletion_id, export_waived
        from pulse.organizations where org_id = $1 for update
        """;

    /// <summary>Reads an organization, and locks it up to the transaction's end.</summary>
    /// <returns>Null: there is none.</returns>
    public static Task<Organization?> LockAsync(MessageTransaction transaction, Guid orgId, CancellationToken cancellationToken) =>
        transaction.QueryAsync(
            new NpgsqlBatchCommand(LockSql) { Parameters = { new NpgsqlParameter<Guid> { TypedValue = orgId } } },
            async (row, cancellation) => await row.ReadAsync(cancellation) ? Read(orgId, row) : null,
            cancellationToken);

    internal static Organization Read(Guid orgId, NpgsqlDataReader row)
    {
        return new Organization
        {
            OrgId = orgId,
            IsDefault = row.GetBoolean(0),
            Status = row.GetString(1),
            SuspendedAt = Time(2),
            SuspendReason = Text(3),
            DeletionRequestedAt = Time(4),
            RetentionDays = row.IsDBNull(5) ? null : row.GetInt32(5),
            PurgeAfter = Time(6),
            StatusBeforeDeletion = Text(7),
            PurgeStartedAt = Time(8),
            LegalHoldAt = Time(9),
            LegalHoldReason = Text(10),
            LegalHoldBy = Text(11),
            DeletionId = row.IsDBNull(12) ? null : row.GetGuid(12),
            ExportWaived = row.GetBoolean(13),
        };

        DateTimeOffset? Time(int column) => row.IsDBNull(column) ? null : new DateTimeOffset(row.GetDateTime(column), TimeSpan.Zero);

        string? Text(int column) => row.IsDBNull(column) ? null : row.GetString(column);
    }

    const string UpdateSql = """
        update pulse.organizations
        set status = $2, suspended_at = $3, suspend_reason = $4, deletion_requested_at = $5, retention_days = $6, purge_after = $7,
            status_before_deletion = $8, legal_hold_at = $9, legal_hold_reason = $10, legal_hold_by = $11, deletion_id = $12, export_waived = $13
        where org_id = $1
        """;

    const string AuditSql = "select pulse.append_audit($1, $2, $3, $4, $5, $6, $7)";

    /// <summary>Stores a change and says so in the audit log, with the commit.</summary>
    public static void Store(
        MessageTransaction transaction, Organization before, Organization after, DateTimeOffset now, string actor, string action, string cause)
    {
        transaction.Defer(new NpgsqlBatchCommand(UpdateSql)
        {
            Parameters =
            {
                new NpgsqlParameter<Guid> { TypedValue = after.OrgId },
                new NpgsqlParameter<string> { TypedValue = after.Status },
                Time(after.SuspendedAt),
                Text(after.SuspendReason),
                Time(after.DeletionRequestedAt),
                new NpgsqlParameter { Value = (object?)after.RetentionDays ?? DBNull.Value, NpgsqlDbType = NpgsqlDbType.Integer },
                Time(after.PurgeAfter),
                Text(after.StatusBeforeDeletion),
                Time(after.LegalHoldAt),
                Text(after.LegalHoldReason),
                Text(after.LegalHoldBy),
                new NpgsqlParameter { Value = (object?)after.DeletionId ?? DBNull.Value, NpgsqlDbType = NpgsqlDbType.Uuid },
                new NpgsqlParameter<bool> { TypedValue = after.ExportWaived },
            },
        });
        transaction.Defer(Audit(now, actor, action, after.OrgId, ToJson(before), ToJson(after), cause));
    }

    /// <summary>An entry of the audit log. Last in its transaction: it holds the one lock of the log.</summary>
    public static NpgsqlBatchCommand Audit(DateTimeOffset now, string actor, string action, Guid? orgId, string? before, string? after, string cause) => new(AuditSql)
    {
        Parameters =
        {
            new NpgsqlParameter<DateTime> { TypedValue = now.UtcDateTime },
            new NpgsqlParameter<string> { TypedValue = actor },
            new NpgsqlParameter<string> { TypedValue = action },
            new NpgsqlParameter { Value = (object?)orgId ?? DBNull.Value, NpgsqlDbType = NpgsqlDbType.Uuid },
            Jsonb(before),
            Jsonb(after),
            Text(cause),
        },
    };

    /// <summary>The lifecycle's part of an organization, as operations and the audit log have it.</summary>
    public static string ToJson(Organization organization) => JsonSerializer.Serialize(LifecycleState.Of(organization), Json);

    static NpgsqlParameter Jsonb(string? json) => new() { Value = (object?)json ?? DBNull.Value, NpgsqlDbType = NpgsqlDbType.Jsonb };

    static NpgsqlParameter Time(DateTimeOffset? time) => new()
    {
        Value = time is { } at ? at.UtcDateTime : DBNull.Value,
        NpgsqlDbType = NpgsqlDbType.TimestampTz,
    };

    static NpgsqlParameter Text(string? text) => new() { Value = (object?)text ?? DBNull.Value, NpgsqlDbType = NpgsqlDbType.Text };
}

/// <summary>What is told of an organization's life.</summary>
sealed record LifecycleState
{
    public required string Status { get; init; }
    public DateTimeOffset? SuspendedAt { get; init; }
    public string? SuspendReason { get; init; }
    public DateTimeOffset? DeletionRequestedAt { get; init; }
    public int? RetentionDays { get; init; }
    public DateTimeOffset? PurgeAfter { get; init; }

    /// <summary>True: it is purged without an export.</summary>
    public bool? ExportWaived { get; init; }
    public DateTimeOffset? LegalHoldAt { get; init; }
    public string? LegalHoldReason { get; init; }

    public static LifecycleState Of(Organization organization) => new()
    {
        Status = organization.Status,
        SuspendedAt = organization.SuspendedAt,
        SuspendReason = organization.SuspendReason,
        DeletionRequestedAt = organization.DeletionRequestedAt,
        RetentionDays = organization.RetentionDays,
        PurgeAfter = organization.PurgeAfter,
        ExportWaived = organization.ExportWaived ? true : null,
        LegalHoldAt = organization.LegalHoldAt,
        LegalHoldReason = organization.LegalHoldReason,
    };
}
