using System.Collections.Frozen;

namespace Pulse.Prometheus;

/// <summary>Which meters are exported, and what bounds their series.</summary>
/// <remarks>An instrument is meant by its name, as it was created or as it is exported.</remarks>
public sealed class MetricsOptions
{
    static readonly double[] DefaultBounds = [.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60];

    readonly List<string> _meters = [];
    readonly List<(string Metric, KeyValuePair<string, object?>[] Labels)> _expected = [];
    readonly Dictionary<string, Dictionary<string, FrozenSet<string>>> _allowed = [];

    /// <summary>
    /// How many series one instrument may have, 1 to 100 000. Measurements with further label values go to one series with every
    /// label <c>other</c>, and are counted in <c>pulse_metrics_series_capped_total</c>.
    /// </summary>
    /// <exception cref="ArgumentOutOfRangeException">Out of bounds.</exception>
    public int MaxSeriesPerInstrument
    {
        get;
        set
        {
            ArgumentOutOfRangeException.ThrowIfLessThan(value, 1);
            ArgumentOutOfRangeException.ThrowIfGreaterThan(value, 100_000);
            field = value;
        }
    } = 200;

    /// <summary>
    /// The upper bounds of a histogram's buckets, in seconds, where its <c>InstrumentAdvice</c> names none. Finite and ascending;
    /// the bucket <c>+Inf</c> is always there.
    /// </summary>
    /// <exception cref="ArgumentException">Not finite, or not ascending.</exception>
    public IReadOnlyList<double> HistogramBounds
    {
        get;
        set
        {
            if (value.Any(bound => !double.IsFinite(bound)) || value.Zip(value.Skip(1)).Any(pair => pair.First >= pair.Second))
                throw new ArgumentException("Histogram bounds must be finite and ascending.", nameof(value));
            field = [.. value];
        }
    } = DefaultBounds;

    /// <summary>Exports a meter's instruments.</summary>
    /// <param name="name">The meter's name; <c>*</c> stands for any characters: <c>Pulse.*</c>.</param>
    public MetricsOptions AddMeter(string name)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(name);
        _meters.Add(name);
        return this;
    }

    /// <summary>
    /// Makes a counter's or histogram's series appear at 0 as soon as the instrument is created, because an alert on a series
    /// that is absent can't fire. Once for each set of labels; an instrument without labels needs none of this.
    /// </summary>
    /// <param name="instrument">The instrument's name.</param>
    /// <param name="labels">The labels of one series. A gauge's are ignored: its value is known only when it is measured.</param>
    public MetricsOptions Expect(string instrument, params (string Label, string Value)[] labels)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(instrument);
        _expected.Add((Names.Metric(instrument), [.. labels.Select(label => KeyValuePair.Create(label.Label, (object?)label.Value))]));
        return this;
    }

    /// <summary>Closes the set of a label's values: any other value is exported as <c>other</c>.</summary>
    /// <param name="instrument">The instrument's name.</param>
    /// <param name="label">The label's name.</param>
    /// <param name="values">The values that it may have. Called again, the latest holds.</param>
    public MetricsOptions AllowLabelValues(string instrument, string label, IEnumerable<string> values)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(instrument);
        ArgumentException.ThrowIfNullOrWhiteSpace(label);
        var metric = Names.Metric(instrument);
        if (!_allowed.TryGetValue(metric, out var labels))
            _allowed[metric] = labels = [];
        labels[Names.Label(label)] = values.ToFrozenSet(StringComparer.Ordinal);
        return this;
    }

    /// <summary>
    /// Creates a service before the first scrape. For the one that creates the instruments: as long as nothing needed it,
    /// there are none, and no series at 0 either.
    /// </summary>
    /// <typeparam name="T">A registered singleton.</typeparam>
    public MetricsOptions Activate<T>()
        where T : class
    {
        Activated.Add(typeof(T));
        return this;
    }

    internal List<Type> Activated { get; } = [];

    internal IReadOnlyList<string> Meters => _meters.Count > 0 ? _meters : ["Pulse.*"];

    internal IEnumerable<KeyValuePair<string, object?>[]> ExpectedOf(string metric) =>
        _expected.Where(expected => expected.Metric == metric).Select(expected => expected.Labels);

    internal FrozenDictionary<string, FrozenSet<string>> AllowedOf(string metric) =>
        _allowed.TryGetValue(metric, out var labels) ? labels.ToFrozenDictionary() : FrozenDictionary<string, FrozenSet<string>>.Empty;

    internal void Check()
    {
        foreach (var (metric, labels) in _expected)
        {
            var allowed = AllowedOf(metric);
            foreach (var (label, value) in labels)
            {
                if (allowed.TryGetValue(Names.Label(label), out var values) && !values.Contains((string)value!))
                    throw new InvalidOperationException(
                        $"{metric} expects a series with {label}=\"{value}\", which AllowLabelValues does not allow. Allow it, or don't expect it.");
            }
        }

        if (_expected.GroupBy(expected => expected.Metric).FirstOrDefault(group => group.Count() > MaxSeriesPerInstrument) is { } crowd)
            throw new InvalidOperationException(
                $"{crowd.Key} expects {crowd.Count()} series, more than MaxSeriesPerInstrument ({MaxSeriesPerInstrument}).");
    }
}
