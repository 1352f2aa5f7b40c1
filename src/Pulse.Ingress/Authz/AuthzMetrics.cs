using System.Diagnostics.Metrics;
using System.Runtime.CompilerServices;

namespace Pulse.Ingress.Authz;

/// <summary><c>pulse_authz_decisions_total{result,reason}</c>.</summary>
/// <remarks>An ordinary counter costs more than the decision. Each processor counts in lines of its own, and a scrape adds them up.</remarks>
sealed class AuthzMetrics
{
    static readonly AuthzOutcome[] Outcomes = Enum.GetValues<AuthzOutcome>();

    readonly Line[] _lines = new Line[(int)System.Numerics.BitOperations.RoundUpToPowerOf2((uint)Environment.ProcessorCount)];

    public AuthzMetrics(IMeterFactory meters) => meters.Create("Pulse.Ingress").CreateObservableCounter("pulse_authz_decisions_total", Observe,
        description: "Answers of /authz. Those with the reason last_known or unavailable rest on too little: Postgres could not be asked.");

    public void Add(AuthzOutcome outcome) =>
        Interlocked.Increment(ref _lines[Thread.GetCurrentProcessorId() & (_lines.Length - 1)].Counts[(int)outcome]);

    public long Of(AuthzOutcome outcome)
    {
        var sum = 0L;
        for (var i = 0; i < _lines.Length; i++)
            sum += Interlocked.Read(ref _lines[i].Counts[(int)outcome]);
        return sum;
    }

    IEnumerable<Measurement<long>> Observe() => Outcomes.Select(outcome => new Measurement<long>(
        Of(outcome), new("result", AuthzAnswer.Of(outcome).Result), new("reason", AuthzAnswer.Of(outcome).Reason)));

    struct Line
    {
        public Counters Counts;
    }

    // Room for every outcome, and for two lines of cache behind it.
    [InlineArray(48)]
    struct Counters
    {
#pragma warning disable IDE0044, CS0169 // the array's one element, by whose type it is made
        long _first;
#pragma warning restore IDE0044, CS0169
    }
}
