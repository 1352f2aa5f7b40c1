using System.Diagnostics.Metrics;

namespace Pulse.Ingress.Stripe;

sealed class StripeMetrics
{
    readonly Counter<long> _failures;

    public StripeMetrics(IMeterFactory meters)
    {
        _failures = meters.Create("Pulse.Ingress").CreateCounter<long>("pulse_stripe_signature_failures_total",
            description: "Webhook requests that are not Stripe's by their signature.");
        foreach (var reason in Enum.GetValues<SignatureFailure>())
            _failures.Add(0, Reason(reason));
    }

    public void Failed(SignatureFailure reason) => _failures.Add(1, Reason(reason));

    static KeyValuePair<string, object?> Reason(SignatureFailure reason) => new("reason", reason switch
    {
        SignatureFailure.Missing => "missing",
        SignatureFailure.Malformed => "malformed",
        SignatureFailure.Stale => "stale",
        _ => "mismatch",
    });
}
