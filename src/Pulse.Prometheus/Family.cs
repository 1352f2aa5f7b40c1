using System.Collections.Concurrent;
using System.Text;

namespace Pulse.Prometheus;

/// <summary>How an instrument's measurements become a value.</summary>
enum Kind
{
    /// <summary>Adds up, and never goes down.</summary>
    Counter,

    /// <summary>Adds up, in both directions.</summary>
    UpDown,

    /// <summary>Is what was recorded last.</summary>
    Gauge,

    /// <summary>Counts in buckets.</summary>
    Histogram,

    /// <summary>Is a counter's total, asked for at each scrape.</summary>
    ObservedCounter,

    /// <summary>Is asked for at each scrape.</summary>
    ObservedGauge,
}

/// <summary>Everything under one metric's name.</summary>
sealed class Family
{
    readonly Lock _lock = new();
    readonly int _maxSeries;
    readonly double[] _bounds;
    readonly string? _help;
    readonly bool _zeroWhenEmpty;
    readonly Action<Family> _capped;
    readonly Action _rejected;
    readonly ConcurrentDictionary<LabelSet, Series> _series;
    readonly ConcurrentDictionary<LabelSet, Series>.AlternateLookup<ReadOnlySpan<KeyValuePair<string, object?>>> _byTags;
    int _count;
    volatile Series? _overflow;

    /// <param name="name">The metric's name, valid.</param>
    /// <param name="kind">What it is.</param>
    /// <param name="help">What it tells, if that was written.</param>
    /// <param name="bounds">A histogram's bounds.</param>
    /// <param name="options">Its closed sets, expected series and cap.</param>
    /// <param name="capped">Told of each measurement that the cap sent to <c>other</c>.</param>
    /// <param name="rejected">Told of each measurement that can't be one.</param>
    public Family(string name, Kind kind, string? help, double[] bounds, MetricsOptions options, Action<Family> capped, Action rejected)
    {
        Name = name;
        Kind = kind;
        _help = help;
        _bounds = bounds;
        _maxSeries = options.MaxSeriesPerInstrument;
        _capped = capped;
        _rejected = rejected;

        var allowed = options.AllowedOf(name);
        _series = new(new LabelComparer(allowed, kind == Kind.Histogram));
        _byTags = _series.GetAlternateLookup<ReadOnlySpan<KeyValuePair<string, object?>>>();

        if (kind is Kind.Counter or Kind.UpDown or Kind.Histogram)
        {
            foreach (var labels in options.ExpectedOf(name))
                Find(labels);
            // Nobody says beforehand whether an instrument will have labels. As long as it has no series it is taken for one
            // without, and is 0, unless the options speak of its labels.
            _zeroWhenEmpty = allowed.Count == 0 && _series.IsEmpty;
        }
    }

    public string Name { get; }

    public Kind Kind { get; }

    public bool Observed => Kind is Kind.ObservedCounter or Kind.ObservedGauge;

    public void Record(double value, ReadOnlySpan<KeyValuePair<string, object?>> tags)
    {
        // One NaN would stay in a sum for ever; a counter that goes down looks like a restart.
        var valid = Kind switch
        {
            Kind.Gauge or Kind.ObservedGauge => true,
            Kind.Counter or Kind.ObservedCounter => double.IsFinite(value) && value >= 0,
            _ => double.IsFinite(value),
        };
        if (valid)
            Find(tags).Record(value);
        else
            _rejected();
    }

    Series Find(ReadOnlySpan<KeyValuePair<string, object?>> tags)
    {
        if (_byTags.TryGetValue(tags, out var series))
            return series;

        // The series without labels is one only, and has no label that could be "other": it is always let in.
        if (_overflow is null || tags.IsEmpty)
        {
            lock (_lock)
            {
                if (_byTags.TryGetValue(tags, out series))
                    return series;

                var labels = ((LabelComparer)_series.Comparer).Create(tags);
                if (_count < _maxSeries || labels.Count == 0)
                {
                    _count++;
                    return _series.GetOrAdd(labels, _ => NewSeries());
                }

                // One for all, whatever their labels are called: a bound that label names could get around would be none.
                _overflow ??= _series.GetOrAdd(labels.AllOther(), _ => NewSeries());
            }
        }

        _capped(this);
        return _overflow!;
    }

    Series NewSeries() => Kind switch
    {
        Kind.Histogram => new HistogramSeries(_bounds),
        Kind.Gauge => new LastSeries(),
        // What is observed twice within a scrape (two label values that became "other") adds up as well.
        _ => new SumSeries(),
    };

    /// <summary>Forgets what was observed: a series that its callback reports no more must not stay at its last value.</summary>
    public void Forget()
    {
        lock (_lock)
        {
            _series.Clear();
            _count = 0;
            _overflow = null;
        }
    }

    public void Write(StringBuilder text)
    {
        var series = _series.ToArray();
        if (series.Length == 0)
        {
            if (!_zeroWhenEmpty)
                return;
            series = [KeyValuePair.Create(LabelSet.Empty, NewSeries())];
        }

        text.AppendHeader(Name, _help, Kind switch
        {
            Kind.Counter or Kind.ObservedCounter => "counter",
            Kind.Histogram => "histogram",
            _ => "gauge",
        });
        foreach (var (labels, value) in series.OrderBy(one => one.Key.Text, StringComparer.Ordinal))
            value.Write(text, Name, labels.Text);
    }
}
