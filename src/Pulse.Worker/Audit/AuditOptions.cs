using Pulse.Hosting;

namespace Pulse.Worker.Audit;

/// <summary>Where checkpoints of the audit log go, and how often.</summary>
sealed record AuditOptions
{
    /// <summary>A directory outside the database; null: there are no checkpoints.</summary>
    public required string? Directory { get; init; }

    /// <summary>How often one is written when something was appended meanwhile. 1 s to 1 day.</summary>
    public required TimeSpan CheckpointEvery { get; init; }

    public static AuditOptions Read(Settings settings) => new()
    {
        Directory = settings.Optional("PULSE_AUDIT_DIR"),
        CheckpointEvery = TimeSpan.FromSeconds(settings.Number("PULSE_AUDIT_CHECKPOINT_SECONDS", otherwise: 60, least: 1, most: 86_400)),
    };
}
