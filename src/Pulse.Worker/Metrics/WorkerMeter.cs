using System.Diagnostics.Metrics;

namespace Pulse.Worker.Metrics;

/// <summary>The worker's instruments. Aggregate labels only: no tenant is ever told from another here.</summary>
sealed class WorkerMeter
{
    public const string Name = "Pulse.Worker";
    public const string Provisions = "pulse_hosted_provisions_total";

    static readonly KeyValuePair<string, object?> Success = new("status", "success");
    static readonly KeyValuePair<string, object?> Failure = new("status", "failure");

    readonly Counter<long> _provisions;
    readonly Histogram<double> _provisioningSeconds;

    public WorkerMeter(IMeterFactory meters, DatabaseGauges gauges)
    {
        var meter = meters.Create(Name);
        _provisions = meter.CreateCounter<long>(Provisions, description: "Provisionings that ended.");
        _provisioningSeconds = meter.CreateHistogram<double>(
            "pulse_hosted_provisioning_seconds", description: "From a signup's acceptance to its tenant.");
        meter.CreateObservableGauge("pulse_hosted_active_tenants", () => gauges.Observe(now => now.ActiveTenants),
            description: "Organizations in status active, the platform's own not counted.");
        meter.CreateObservableGauge("pulse_outbox_depth", () => gauges.Observe(now => now.OutboxDepth),
            description: "Messages that are due and not yet with the broker.");
        meter.CreateObservableGauge("pulse_outbox_oldest_seconds", () => gauges.Observe(now => now.OutboxOldestSeconds),
            description: "For how long the oldest of them is due.");
    }

    public void Provisioned(TimeSpan took)
    {
        _provisions.Add(1, Success);
        _provisioningSeconds.Record(Math.Max(0, took.TotalSeconds));
    }

    public void ProvisioningFailed() => _provisions.Add(1, Failure);
}
