using System.Diagnostics.Metrics;
using Pulse.Messaging;

namespace Pulse.Worker.Lifecycle;

/// <summary>The purges' instruments.</summary>
sealed class PurgeMeter
{
    public const string Purges = "pulse_hosted_purges_total";
    public const string Pending = "pulse_hosted_purges_pending";
    public const string ReaperStopped = "pulse_hosted_reaper_stopped";

    public const string Purged = "purged";
    public const string ExportFailed = "export_failed";
    public const string Residue = "residue";
    public const string StoppedBlastRadius = "stopped_blast_radius";
    public const string StoppedClock = "stopped_clock";

    public static readonly IReadOnlyList<string> Outcomes = [Purged, ExportFailed, Residue, StoppedBlastRadius, StoppedClock];
    public static readonly IReadOnlyList<string> States = ["due", "under_way", "export_dir_missing", "export_failed", "deprovision", "billing", "residue"];
    public static readonly IReadOnlyList<string> Reasons = ["blast_radius", "clock"];

    readonly Counter<long> _purges;

    public PurgeMeter(IMeterFactory meters, ReaperReadings readings)
    {
        var meter = meters.Create("Pulse.Worker.Purges");
        _purges = meter.CreateCounter<long>(Purges, description: "Purges that ended, and what kept one from going on.");
        meter.CreateObservableGauge(Pending, readings.Pending, description: "Organizations that are due to be purged, and purges that have begun, by what they wait for.");
        meter.CreateObservableGauge(ReaperStopped, readings.Stopped, description: "1: nothing is purged without an operator.");
    }

    public void Ended(MessageTransaction transaction, string outcome) =>
        transaction.OnCommitted(() => _purges.Add(1, new KeyValuePair<string, object?>("outcome", outcome)));
}

/// <summary>The latest look at the database, for the gauges. Nothing, rather than a wrong number, before the first and while Postgres is away.</summary>
sealed class ReaperReadings
{
    ReaperTable.Watched? _latest;
    bool _blastRadius;
    bool _clock;

    public void Read(ReaperTable.Watched? latest, bool blastRadius, bool clock) => (_latest, _blastRadius, _clock) = (latest, blastRadius, clock);

    public IEnumerable<Measurement<long>> Pending() => _latest is { } latest
        ? PurgeMeter.States.Select(state => new Measurement<long>(
            state == "due" ? latest.Due : latest.Purges.Count(purge => purge == state), KeyValuePair.Create<string, object?>("state", state)))
        : [];

    public IEnumerable<Measurement<long>> Stopped() => _latest is null
        ? []
        : [Measure("blast_radius", _blastRadius), Measure("clock", _clock)];

    static Measurement<long> Measure(string reason, bool stopped) => new(stopped ? 1 : 0, KeyValuePair.Create<string, object?>("reason", reason));
}
