using System.Diagnostics;
using System.Diagnostics.Metrics;
using static Pulse.Tests.Prometheus.Metered;

namespace Pulse.Tests.Prometheus;

public sealed class Recording_is_cheap_and_safe
{
    public static TheoryData<string> Recordings => new(Steady.Keys);

    static readonly KeyValuePair<string, object?> Success = Tag("status", "success");
    static readonly KeyValuePair<string, object?> Unforeseen = Tag("status", "unforeseen");
    static readonly KeyValuePair<string, object?> Code = Tag("code", 200);
    static readonly KeyValuePair<string, object?> Dotted = Tag("x.y", "z");
    static readonly KeyValuePair<string, object?>[] TooMany = [.. Enumerable.Range(0, 50).Select(id => Tag("id", id.ToString(System.Globalization.CultureInfo.InvariantCulture)))];

    static readonly Dictionary<string, Action<Instruments>> Steady = new()
    {
        ["without labels"] = on => on.Plain.Add(1),
        ["a known label"] = on => on.Closed.Add(1, Success),
        ["a value outside of a closed set"] = on => on.Closed.Add(1, Unforeseen),
        ["a number as a value, two labels in another order"] = on => { on.Open.Add(1, Code, Success); on.Open.Add(1, Success, Code); },
        ["a label's name that has to be made valid"] = on => on.Open.Add(1, Dotted),
        ["a gauge"] = on => on.Gauge.Record(2.5, Success),
        ["a histogram"] = on => on.Histogram.Record(0.3, Success),
        ["over the cap"] = on =>
        {
            foreach (var tag in TooMany)
                on.Capped.Add(1, tag);
        },
    };

    [Theory]
    [MemberData(nameof(Recordings))]
    public async Task Recording_allocates_nothing(string recording)
    {
        await using var app = new Metered(options =>
        {
            options.MaxSeriesPerInstrument = 10;
            options.AllowLabelValues("closed_total", "status", ["success"]);
        });
        var instruments = new Instruments(app.Meter);
        var record = Steady[recording];

        // The steady state is what counts: until the runtime has compiled the framework's vectorised code for good, that code
        // boxes. So a batch is measured until one allocates nothing; whatever allocates of itself never gets there.
        var deadline = Stopwatch.StartNew();
        long allocated;
        do
        {
            var before = GC.GetAllocatedBytesForCurrentThread();
            for (var time = 0; time < 10_000; time++)
                record(instruments);
            allocated = GC.GetAllocatedBytesForCurrentThread() - before;
        }
        while (allocated > 0 && deadline.Elapsed < TimeSpan.FromSeconds(10));

        Assert.Equal(0, allocated);
    }

    [Fact]
    public async Task Many_threads_lose_nothing_while_scrapes_go_on()
    {
        const int threads = 8, times = 20_000;
        await using var app = new Metered();
        var counter = app.Meter.CreateCounter<double>("a_total");
        var histogram = app.Meter.CreateHistogram<double>("h");
        using var done = new CancellationTokenSource();

        var scrapes = Task.Run(async () =>
        {
            var latest = 0d;
            do
            {
                // Each page is whole: the strict reader checks that a histogram's count is its last bucket.
                var now = (await app.ScrapeAsync()).Value("a_total", ("k", "1")) ?? 0;
                Assert.True(now >= latest, $"a counter went from {latest} to {now}");
                latest = now;
            }
            while (!done.IsCancellationRequested);
        });
        await Task.WhenAll(Enumerable.Range(0, threads).Select(thread => Task.Factory.StartNew(
            () =>
            {
                for (var time = 0; time < times; time++)
                {
                    counter.Add(0.5, Tag("k", time % 4));
                    histogram.Record(time % 3, Tag("t", thread % 2));
                }
            },
            CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default)));
        await done.CancelAsync();
        await scrapes;

        var page = await app.ScrapeAsync();
        Assert.Equal(threads * times * 0.5, page.Series("a_total").Sum(sample => sample.Value));
        Assert.Equal(threads * times, page.Series("h_count").Sum(sample => sample.Value));
        Assert.Equal(threads * Enumerable.Range(0, times).Sum(time => time % 3), page.Series("h_sum").Sum(sample => sample.Value));
    }

    [Fact]
    public async Task The_cap_holds_when_threads_race_for_the_last_series()
    {
        const int threads = 2, values = 2_000;
        await using var app = new Metered(options => options.MaxSeriesPerInstrument = 1_000);
        var counter = app.Meter.CreateCounter<long>("a_total");
        var arrived = 0;

        await Task.WhenAll(Enumerable.Range(0, threads).Select(_ => Task.Factory.StartNew(
            () =>
            {
                for (var value = 0; value < values; value++)
                {
                    // Each new series is made by both of them at once: a Barrier wakes them too far apart for that.
                    Interlocked.Increment(ref arrived);
                    while (Volatile.Read(ref arrived) < threads * (value + 1))
                        Thread.Yield();
                    counter.Add(1, Tag("v", value));
                }
            },
            CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default)));

        var page = await app.ScrapeAsync();
        Assert.Equal(1_001, page.Series("a_total").Count());
        Assert.Equal(threads * values, page.Series("a_total").Sum(sample => sample.Value));
        Assert.Equal(page.Value("a_total", ("v", "other")), page.Value("pulse_metrics_series_capped_total"));
    }

    sealed class Instruments(Meter meter)
    {
        public Counter<long> Plain { get; } = meter.CreateCounter<long>("plain_total");
        public Counter<long> Closed { get; } = meter.CreateCounter<long>("closed_total");
        public Counter<long> Open { get; } = meter.CreateCounter<long>("open_total");
        public Counter<long> Capped { get; } = meter.CreateCounter<long>("capped_total");
        public Gauge<double> Gauge { get; } = meter.CreateGauge<double>("gauge");
        public Histogram<double> Histogram { get; } = meter.CreateHistogram<double>("histogram");
    }
}
