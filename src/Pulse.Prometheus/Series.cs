using System.Text;

namespace Pulse.Prometheus;

/// <summary>The value of one set of labels. Recorded by many threads at once, without a lock.</summary>
abstract class Series
{
    public abstract void Record(double value);

    public abstract void Write(StringBuilder text, string name, string labels);

    protected static void Add(ref double sum, double value)
    {
        var before = Volatile.Read(ref sum);
        while (true)
        {
            var seen = Interlocked.CompareExchange(ref sum, before + value, before);
            // Bits, not ==: a NaN would never be equal to itself, and this would never end.
            if (BitConverter.DoubleToInt64Bits(seen) == BitConverter.DoubleToInt64Bits(before))
                return;
            before = seen;
        }
    }
}

/// <summary>A counter, and a gauge that goes up and down by what is recorded.</summary>
sealed class SumSeries : Series
{
    double _sum;

    public override void Record(double value) => Add(ref _sum, value);

    public override void Write(StringBuilder text, string name, string labels) => text.AppendSample(name, labels, Volatile.Read(ref _sum));
}

/// <summary>A gauge that is what was recorded last.</summary>
sealed class LastSeries : Series
{
    double _last;

    public override void Record(double value) => Volatile.Write(ref _last, value);

    public override void Write(StringBuilder text, string name, string labels) => text.AppendSample(name, labels, Volatile.Read(ref _last));
}

/// <summary>
/// A histogram. Its count is the sum of its buckets at one look, so the two never disagree; the sum may be behind them by
/// measurements that are being recorded just then.
/// </summary>
/// <param name="bounds">The buckets' upper bounds, each within its bucket, ascending.</param>
sealed class HistogramSeries(double[] bounds) : Series
{
    readonly long[] _counts = new long[bounds.Length + 1];
    double _sum;

    public override void Record(double value)
    {
        var bucket = Array.BinarySearch(bounds, value);
        Interlocked.Increment(ref _counts[bucket < 0 ? ~bucket : bucket]);
        Add(ref _sum, value);
    }

    public override void Write(StringBuilder text, string name, string labels)
    {
        var separator = labels.Length > 0 ? "," : "";
        var bucket = name + "_bucket";
        var sum = Volatile.Read(ref _sum);
        var count = 0L;
        for (var index = 0; index < _counts.Length; index++)
        {
            count += Volatile.Read(ref _counts[index]);
            var bound = index < bounds.Length ? bounds[index] : double.PositiveInfinity;
            text.AppendSample(bucket, $"{labels}{separator}le=\"{ExpositionText.Number(bound)}\"", count);
        }

        text.AppendSample(name + "_sum", labels, sum);
        text.AppendSample(name + "_count", labels, count);
    }
}
