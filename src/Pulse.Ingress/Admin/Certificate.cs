using System.Text.Json;

namespace Pulse.Ingress.Admin;

/// <summary>What a sweep would purge now.</summary>
sealed record DryRun
{
    /// <summary>What a confirmation names: SHA-256 of the list.</summary>
    public required string Hash { get; init; }
    public required int Count { get; init; }
    public required IReadOnlyList<DueOrganization> Organizations { get; init; }
}

/// <summary>An organization whose retention is over, that is not under legal hold, and whose purge nobody has confirmed.</summary>
sealed record DueOrganization
{
    public required string OrgId { get; init; }

    /// <summary>Which of its deletions: the operation that asked for it.</summary>
    public required Guid DeletionId { get; init; }
    public required DateTime PurgeAfter { get; init; }
}

/// <summary>What became of a confirmation.</summary>
sealed record PurgesConfirmed
{
    public required string Hash { get; init; }

    /// <summary>How many may be purged by it.</summary>
    public required int Confirmed { get; init; }
}

/// <summary>That an organization was purged, and what was looked at to say so. No personal data.</summary>
sealed record Certificate
{
    public required string OrgId { get; init; }
    public required Guid PurgeId { get; init; }
    public required DateTime DeletionRequestedAt { get; init; }
    public required DateTime PurgeStartedAt { get; init; }
    public required DateTime PurgedAt { get; init; }

    /// <summary>Of the exported document; left out when the export was waived.</summary>
    public ExportCertificate? Export { get; init; }

    /// <summary>Table → rows.</summary>
    public required JsonElement RowsDeleted { get; init; }
    public required ResidueCertificate Residue { get; init; }

    /// <summary>The number of its last entry in the audit log.</summary>
    public required long AuditSeq { get; init; }
}

/// <summary>The exported document.</summary>
sealed record ExportCertificate
{
    /// <summary>In hexadecimal.</summary>
    public required string Sha256 { get; init; }
    public required long Bytes { get; init; }
}

/// <summary>The search of the whole database for its id and its people's emails.</summary>
sealed record ResidueCertificate
{
    public required int ColumnsSearched { get; init; }

    /// <summary>How many rows have one of them: none, or there would be no certificate.</summary>
    public required long RowsFound { get; init; }
}
