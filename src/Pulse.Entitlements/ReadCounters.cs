using System.Diagnostics.Metrics;
using System.Runtime.InteropServices;

namespace Pulse.Entitlements;

/// <summary><c>pulse_entitlement_reads_total{freshness}</c>, of meter <c>Pulse.Entitlements</c>.</summary>
/// <remarks>
/// An ordinary counter costs more than the whole answer. Here each processor counts in a cache line of its own, and whoever collects
/// metrics adds them up.
/// </remarks>
sealed class ReadCounters : IDisposable
{
    public const string MeterName = "Pulse.Entitlements";

    static readonly string[] Names = ["fresh", "last_known", "assumed"];

    readonly Meter _meter = new(MeterName);
    static readonly int Mask = (int)System.Numerics.BitOperations.RoundUpToPowerOf2((uint)Environment.ProcessorCount) - 1;

    // The first is nobody's: the array's length, which each access reads, stands right before it, and would be in a line that a processor writes.
    readonly Line[] _lines = new Line[Mask + 2];

    public ReadCounters() => _meter.CreateObservableCounter("pulse_entitlement_reads_total", Observe,
        description: "Answers about entitlements, by how well they were founded. All but fresh are fail-open at work.");

    public void Add(Freshness freshness)
    {
        ref var line = ref _lines[(Thread.GetCurrentProcessorId() & Mask) + 1];
        switch (freshness)
        {
            case Freshness.Fresh: Interlocked.Increment(ref line.Fresh); break;
            case Freshness.LastKnown: Interlocked.Increment(ref line.LastKnown); break;
            default: Interlocked.Increment(ref line.Assumed); break;
        }
    }

    public long Of(Freshness freshness)
    {
        var sum = 0L;
        for (var i = 0; i < _lines.Length; i++)
        {
            sum += freshness switch
            {
                Freshness.Fresh => Interlocked.Read(ref _lines[i].Fresh),
                Freshness.LastKnown => Interlocked.Read(ref _lines[i].LastKnown),
                _ => Interlocked.Read(ref _lines[i].Assumed),
            };
        }

        return sum;
    }

    IEnumerable<Measurement<long>> Observe() =>
        Enum.GetValues<Freshness>().Select(freshness => new Measurement<long>(Of(freshness), new KeyValuePair<string, object?>("freshness", Names[(int)freshness])));

    public void Dispose() => _meter.Dispose();

    // Two lines, as processors fetch them in pairs.
    [StructLayout(LayoutKind.Sequential, Size = 128)]
    struct Line
    {
        public long Fresh;
        public long LastKnown;
        public long Assumed;
    }
}
