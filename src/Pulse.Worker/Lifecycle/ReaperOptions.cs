using Pulse.Hosting;

namespace Pulse.Worker.Lifecycle;

/// <summary>What the reaper may do by itself, and where exports go.</summary>
sealed record ReaperOptions
{
    /// <summary>How many purges may begin within <see cref="SweepEvery"/> without an operator's confirmation. 1 to 10 000.</summary>
    public int Most { get; init; } = 20;

    /// <summary>Which share of all organizations at most. One purge is always allowed.</summary>
    public double Share { get; init; } = 0.05;

    /// <summary>How often what the timers missed is looked for. What begins within so long counts together.</summary>
    public TimeSpan SweepEvery { get; init; } = TimeSpan.FromMinutes(5);

    /// <summary>How far the clock may be from the database's.</summary>
    public TimeSpan ClockTolerance { get; init; } = TimeSpan.FromMinutes(5);

    /// <summary>A directory that outlives the database; null: nothing is purged that is to be exported.</summary>
    public string? ExportDirectory { get; init; }

    /// <summary>How many purges are certified by one look through the database.</summary>
    public int CertifiedTogether { get; init; } = 200;

    /// <summary>Tests only: false are the mutants that purge without looking again, in spite of a hold, or any number.</summary>
    internal bool LooksAgain { get; init; } = true;
    internal bool HonoursHolds { get; init; } = true;
    internal bool HonoursBreaker { get; init; } = true;

    public static ReaperOptions Read(Settings settings)
    {
        const string directory = "PULSE_EXPORT_DIR";
        var options = new ReaperOptions
        {
            Most = settings.Number("PULSE_REAPER_MAX", otherwise: 20, least: 1, most: 10_000),
            ExportDirectory = settings.Optional(directory),
        };
        if (options.ExportDirectory is { } path && (!Path.IsPathFullyQualified(path) || File.Exists(path)))
            settings.Mistake(directory, $"is '{path}', but must be the whole path of a directory.");
        return options;
    }
}
