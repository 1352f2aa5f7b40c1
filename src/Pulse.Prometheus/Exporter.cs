using System.Collections.Concurrent;
using System.Diagnostics;
using System.Diagnostics.Metrics;
using System.IO.Enumeration;
using System.Numerics;
using System.Text;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;

namespace Pulse.Prometheus;

/// <summary>Listens to one service provider's meters, and writes what they add up to.</summary>
sealed partial class Exporter : IDisposable
{
    readonly Lock _publishing = new();
    readonly Lock _scraping = new();
    readonly MeterListener _listener = new();
    readonly ConcurrentDictionary<string, Family> _families = new(StringComparer.Ordinal);
    readonly ConcurrentDictionary<Family, bool> _warned = [];
    readonly HashSet<string> _sampleNames = new(StringComparer.Ordinal);
    readonly MetricsOptions _options;
    readonly IMeterFactory _meters;
    readonly Meter _own;
    readonly ILogger<Exporter> _log;
    readonly double _startedAt;
    long _capped;
    long _rejected;
    long _failedCallbacks;

    public Exporter(IMeterFactory meters, IOptions<MetricsOptions> options, ILogger<Exporter> log)
    {
        _meters = meters;
        _options = options.Value;
        _options.Check();
        _log = log;
        using (var process = Process.GetCurrentProcess())
            _startedAt = new DateTimeOffset(process.StartTime).ToUnixTimeMilliseconds() / 1000d;
        _own = meters.Create("Pulse.Prometheus");

        _listener.InstrumentPublished = Publish;
        Listen<byte>();
        Listen<short>();
        Listen<int>();
        Listen<long>();
        Listen<float>();
        Listen<double>();
        Listen<decimal>();
        _listener.Start();
        Introduce();
    }

    /// <summary>Everything, now.</summary>
    public string Scrape()
    {
        lock (_scraping)
        {
            foreach (var family in _families.Values.Where(family => family.Observed))
                family.Forget();

            try
            {
                _listener.RecordObservableInstruments();
            }
            catch (AggregateException failures)
            {
                // Each callback is called even so: only what a failing one would have told is missing.
                Interlocked.Add(ref _failedCallbacks, failures.InnerExceptions.Count);
                foreach (var failure in failures.InnerExceptions)
                    CallbackFailed(_log, failure);
            }

            var text = new StringBuilder();
            foreach (var family in _families.Values.OrderBy(family => family.Name, StringComparer.Ordinal))
                family.Write(text);
            return text.ToString();
        }
    }

    public void Dispose() => _listener.Dispose();

    void Listen<T>()
        where T : struct, INumber<T> =>
        _listener.SetMeasurementEventCallback<T>(static (_, value, tags, family) => ((Family)family!).Record(double.CreateSaturating(value), tags));

    // The process itself, and what went wrong in here.
    void Introduce()
    {
        _own.CreateObservableGauge("process_start_time_seconds", () => _startedAt,
            description: "When the process started, in seconds since 1970-01-01 UTC.");
        _own.CreateObservableGauge("process_resident_memory_bytes", () => Environment.WorkingSet, description: "Resident memory.");
        _own.CreateObservableCounter("process_cpu_seconds_total", () => Environment.CpuUsage.TotalTime.TotalSeconds,
            description: "User and system CPU time.");
        _own.CreateObservableCounter("pulse_metrics_series_capped_total", () => Interlocked.Read(ref _capped),
            description: "Measurements in a series other, because their instrument had too many series.");
        _own.CreateObservableCounter("pulse_metrics_rejected_total", () => Interlocked.Read(ref _rejected),
            description: "Measurements that were left out: not finite, or a counter's below 0.");
        _own.CreateObservableCounter("pulse_metrics_failed_callbacks_total", () => Interlocked.Read(ref _failedCallbacks),
            description: "Observable instruments that threw at a scrape.");
    }

    // Runs within the call that creates the instrument: it must not throw.
    void Publish(Instrument instrument, MeterListener listener)
    {
        if (!Wanted(instrument.Meter) || KindOf(instrument) is not { } kind)
            return;

        var name = Names.Metric(instrument.Name);
        lock (_publishing)
        {
            if (!_families.TryGetValue(name, out var family))
            {
                // A histogram x owns x_count: a counter of that name would make a page that Prometheus refuses as a whole.
                string[] samples = kind == Kind.Histogram ? [name, name + "_bucket", name + "_sum", name + "_count"] : [name];
                if (samples.Any(_sampleNames.Contains))
                {
                    NameTaken(_log, instrument.Name, instrument.Meter.Name);
                    return;
                }

                _sampleNames.UnionWith(samples);
                var bounds = kind == Kind.Histogram ? BoundsOf(instrument) ?? [.. _options.HistogramBounds] : [];
                family = new Family(name, kind, instrument.Description, bounds, _options, Capped, () => Interlocked.Increment(ref _rejected));
                _families[name] = family;
            }
            else if (family.Kind != kind)
            {
                NameTaken(_log, instrument.Name, instrument.Meter.Name);
                return;
            }

            // The same name and kind in two meters is one metric.
            listener.EnableMeasurementEvents(instrument, family);
        }
    }

    bool Wanted(Meter meter) =>
        (meter.Scope is null || ReferenceEquals(meter.Scope, _meters))
        && (ReferenceEquals(meter, _own)
            || _options.Meters.Any(pattern => FileSystemName.MatchesSimpleExpression(pattern, meter.Name, ignoreCase: false)));

    void Capped(Family family)
    {
        Interlocked.Increment(ref _capped);
        if (!_warned.ContainsKey(family) && _warned.TryAdd(family, true))
            TooManySeries(_log, family.Name, _options.MaxSeriesPerInstrument);
    }

    static Kind? KindOf(Instrument instrument)
    {
        var type = instrument.GetType();
        type = type.IsGenericType ? type.GetGenericTypeDefinition() : type;
        return type == typeof(Counter<>) ? Kind.Counter
            : type == typeof(UpDownCounter<>) ? Kind.UpDown
            : type == typeof(Gauge<>) ? Kind.Gauge
            : type == typeof(Histogram<>) ? Kind.Histogram
            : type == typeof(ObservableCounter<>) ? Kind.ObservedCounter
            : type == typeof(ObservableGauge<>) || type == typeof(ObservableUpDownCounter<>) ? Kind.ObservedGauge
            : null;
    }

    static double[]? BoundsOf(Instrument instrument)
    {
        return instrument switch
        {
            Instrument<byte> of => Advised(of),
            Instrument<short> of => Advised(of),
            Instrument<int> of => Advised(of),
            Instrument<long> of => Advised(of),
            Instrument<float> of => Advised(of),
            Instrument<double> of => Advised(of),
            Instrument<decimal> of => Advised(of),
            _ => null,
        };

        // The advice is ascending by its own check; +Inf is always there.
        static double[]? Advised<T>(Instrument<T> of)
            where T : struct, INumber<T> =>
            of.Advice?.HistogramBucketBoundaries?.Select(double.CreateSaturating).Where(double.IsFinite).ToArray();
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "{Metric} has {Max} series; further label values are counted as other")]
    static partial void TooManySeries(ILogger logger, string metric, int max);

    [LoggerMessage(Level = LogLevel.Warning, Message = "{Instrument} of meter {Meter} is not exported: another instrument has its name")]
    static partial void NameTaken(ILogger logger, string instrument, string meter);

    [LoggerMessage(Level = LogLevel.Warning, Message = "An observable instrument could not be read")]
    static partial void CallbackFailed(ILogger logger, Exception exception);
}
