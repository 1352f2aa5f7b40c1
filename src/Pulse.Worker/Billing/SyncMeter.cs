using System.Diagnostics.Metrics;
using Pulse.Worker.Billing.Stripe;

namespace Pulse.Worker.Billing;

/// <summary>The instruments of the sync. Types, outcomes, results and classes are closed sets; no customer is ever told from another.</summary>
sealed class SyncMeter
{
    public const string Propagation = "pulse_hosted_billing_propagation_seconds";
    public const string Events = "pulse_stripe_events_total";
    public const string Refetches = "pulse_stripe_refetch_total";
    public const string Parked = "pulse_stripe_parked";
    public const string Drift = "pulse_billing_drift_total";

    public static readonly string[] Results = ["fetched", "gone", "rate_limited", "unavailable", "refused", "superseded"];
    public static readonly string[] Classes = ["webhook_missing", "handler_failed"];

    readonly Histogram<double> _propagation;
    readonly Counter<long> _events;
    readonly Counter<long> _refetches;
    readonly Counter<long> _drift;

    public SyncMeter(IMeterFactory meters, ParkedEvents parked)
    {
        var meter = meters.Create("Pulse.Worker.Billing");
        _propagation = meter.CreateHistogram<double>(Propagation, description: "From a webhook's receipt to the entitlement that it brought about, readable.");
        _events = meter.CreateCounter<long>(Events, description: "Stripe's events that were handled.");
        _refetches = meter.CreateCounter<long>(Refetches, description: "Customers that were fetched from Stripe, or were to be.");
        _drift = meter.CreateCounter<long>(Drift, description: "Differences from Stripe that reconciliation found, and healed.");
        meter.CreateObservableGauge(Parked, parked.Observe, description: "Events of customers that belong to no organization yet.");
    }

    /// <summary>The label of a fetch's result.</summary>
    public static string Word(StripeResult result) => result switch
    {
        StripeResult.Fetched => "fetched",
        StripeResult.Gone => "gone",
        StripeResult.RateLimited => "rate_limited",
        StripeResult.Refused or StripeResult.Rejected => "refused",
        _ => "unavailable",
    };

    public void Handled(string type, string outcome) => _events.Add(1, KeyValuePair.Create<string, object?>("type", type), KeyValuePair.Create<string, object?>("outcome", outcome));

    public void Synced(SyncOutcome outcome, DateTimeOffset readableAt)
    {
        if (outcome.Fetch is { } result)
            _refetches.Add(1, KeyValuePair.Create<string, object?>("result", result));
        if (outcome.Drift is { } drift)
            _drift.Add(1, KeyValuePair.Create<string, object?>("class", drift));
        foreach (var receivedAt in outcome.ReceivedAt)
            _propagation.Record(Math.Max(0, (readableAt.UtcDateTime - receivedAt).TotalSeconds));
    }
}
