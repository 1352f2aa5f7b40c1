using System.Diagnostics.Metrics;

namespace Pulse.Ingress.Signups;

/// <summary>The meter of this process.</summary>
sealed class SignupMetrics
{
    public const string MeterName = "Pulse.Ingress";

    readonly Counter<long> _signups;

    public SignupMetrics(IMeterFactory meters)
    {
        _signups = meters.Create(MeterName).CreateCounter<long>("pulse_hosted_signups_total",
            description: "Signups that were accepted: stored, and on their way to be provisioned.");
        // The series is there, at nought, before the first signup: the first one is an increase, too.
        _signups.Add(0);
    }

    public void Accepted() => _signups.Add(1);
}
