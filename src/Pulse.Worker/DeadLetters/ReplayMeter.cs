using System.Diagnostics.Metrics;
using Pulse.Contracts.DeadLetters;

namespace Pulse.Worker.DeadLetters;

/// <summary>The slice's instruments. A queue's name is an endpoint's; there is no label of a message, a type or a tenant.</summary>
sealed class ReplayMeter
{
    public const string Letters = "pulse_dead_letters";
    public const string Replays = "pulse_replays_total";

    public static readonly IReadOnlyList<string> Outcomes = [ReplayStatus.Completed, ReplayStatus.Stopped, ReplayStatus.Cancelled, ReplayStatus.Expired];

    readonly Counter<long> _replays;

    public ReplayMeter(IMeterFactory meters, LetterGauges gauges)
    {
        var meter = meters.Create("Pulse.Worker.DeadLetters");
        _replays = meter.CreateCounter<long>(Replays, description: "Replays that ended.");
        meter.CreateObservableGauge(Letters, gauges.Observe, description: "Dead letters by the queue that failed and by status.");
    }

    public void Ended(string outcome) => _replays.Add(1, new KeyValuePair<string, object?>("outcome", outcome));
}
