using System.Diagnostics.Metrics;

namespace Pulse.Worker.Lifecycle;

/// <summary>The lifecycle's instruments.</summary>
sealed class LifecycleMeter
{
    public const string Transitions = "pulse_hosted_lifecycle_transitions_total";

    public static readonly IReadOnlyList<string> Statuses = ["active", "suspended", "pending_deletion", "purged"];

    readonly Counter<long> _transitions;
    readonly Histogram<double> _seconds;

    public LifecycleMeter(IMeterFactory meters)
    {
        var meter = meters.Create("Pulse.Worker.Lifecycle");
        _transitions = meter.CreateCounter<long>(Transitions, description: "Changes of an organization's status.");
        _seconds = meter.CreateHistogram<double>("pulse_hosted_lifecycle_seconds", description: "From a command's acceptance to its effect.");
    }

    public void Moved(string from, string to, TimeSpan took)
    {
        _transitions.Add(1, new KeyValuePair<string, object?>("from_status", from), new KeyValuePair<string, object?>("to_status", to));
        // A purge takes as long as what is outside of Pulse: it is no command that somebody waits for.
        if (to != "purged")
            _seconds.Record(Math.Max(0, took.TotalSeconds));
    }
}
