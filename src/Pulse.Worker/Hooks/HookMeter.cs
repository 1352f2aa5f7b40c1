using System.Diagnostics.Metrics;

namespace Pulse.Worker.Hooks;

/// <summary>The instruments of the hook. Types and outcomes are closed sets; no organization is told from another.</summary>
sealed class HookMeter
{
    public const string Calls = "pulse_hook_calls_total";
    public const string Waiting = "pulse_hook_calls_waiting";
    public const string Oldest = "pulse_hook_calls_oldest_seconds";

    public static readonly string[] Types = [HookCall.Provision, HookCall.Deprovision];

    /// <summary>How an attempt ended; and how a call did, where an attempt does not say so.</summary>
    public static readonly string[] Outcomes =
    [
        "done", "accepted", "refused", "gone", "busy", "unavailable", "timed_out", "broken", "unreachable", "blocked",
        "completed", "failed", "given_up", "skipped",
    ];

    readonly Counter<long> _calls;

    public HookMeter(IMeterFactory meters, WaitingHookCalls waiting)
    {
        var meter = meters.Create("Pulse.Worker.Hooks");
        _calls = meter.CreateCounter<long>(Calls, description: "Calls of the platform's provisioning hook, and how they ended.");
        meter.CreateObservableGauge(Waiting, () => waiting.Observe(type => type.Count), description: "Calls that have not come to their end.");
        meter.CreateObservableGauge(Oldest, () => waiting.Observe(type => type.OldestSeconds), description: "For how long the oldest of them is under way.");
    }

    public void Called(string type, IReadOnlyList<string> outcomes)
    {
        foreach (var outcome in outcomes)
            _calls.Add(1, KeyValuePair.Create<string, object?>("type", type), KeyValuePair.Create<string, object?>("outcome", outcome));
    }
}
