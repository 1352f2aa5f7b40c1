using System.ComponentModel;
using System.Diagnostics;
using System.Diagnostics.Metrics;
using System.Globalization;
using System.Text;
using FsCheck;
using FsCheck.Fluent;
using static Pulse.Tests.Prometheus.Metered;

namespace Pulse.Tests.Prometheus;

public sealed class Exposition_format
{
    [Fact]
    public async Task Every_kind_of_instrument_is_written_as_its_type()
    {
        await using var app = new Metered();
        app.Meter.CreateCounter<int>("counter_total", description: "c").Add(3, Tag("a", "x"));
        app.Meter.CreateUpDownCounter<long>("up_down").Add(-2);
        app.Meter.CreateGauge<decimal>("gauge").Record(1.5m);
        app.Meter.CreateHistogram<float>("histogram").Record(0.25f);
        app.Meter.CreateObservableCounter("seen_total", () => (short)7);
        app.Meter.CreateObservableGauge("seen", () => new[] { new Measurement<double>(4.5, Tag("b", 1)), new Measurement<double>(2, Tag("b", true)) });
        app.Meter.CreateObservableUpDownCounter("seen_up_down", () => (byte)9);

        var page = await app.ScrapeAsync();

        Assert.Equal(
            "counter_total counter, gauge gauge, histogram histogram, seen gauge, seen_total counter, seen_up_down gauge, up_down gauge",
            string.Join(", ", page.Families.Where(family => !family.Name.StartsWith("pulse_", StringComparison.Ordinal)
                && !family.Name.StartsWith("process_", StringComparison.Ordinal)).Select(family => $"{family.Name} {family.Type}")));
        Assert.Equal("c", page.Families.Single(family => family.Name == "counter_total").Help);
        Assert.Equal(3, page.Value("counter_total", ("a", "x")));
        Assert.Equal(-2, page.Value("up_down"));
        Assert.Equal(1.5, page.Value("gauge"));
        Assert.Equal(0.25, page.Value("histogram_sum"));
        Assert.Equal(7, page.Value("seen_total"));
        Assert.Equal(4.5, page.Value("seen", ("b", "1")));
        Assert.Equal(2, page.Value("seen", ("b", "true")));
        Assert.Equal(9, page.Value("seen_up_down"));
    }

    [Fact]
    public async Task A_histogram_counts_a_value_in_the_bucket_that_it_bounds()
    {
        await using var app = new Metered();
        var histogram = app.Meter.CreateHistogram<double>("took_seconds");
        foreach (var value in new[] { 0.001, 0.005, 0.0051, 60, 61 })
            histogram.Record(value, Tag("a", "x"));

        var page = await app.ScrapeAsync();

        Assert.Equal(
            ["0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1", "2.5", "5", "10", "30", "60", "+Inf"],
            page.Series("took_seconds_bucket").Select(sample => sample.Labels["le"]));
        Assert.Equal(2, page.Value("took_seconds_bucket", ("a", "x"), ("le", "0.005")));
        Assert.Equal(3, page.Value("took_seconds_bucket", ("a", "x"), ("le", "0.01")));
        Assert.Equal(4, page.Value("took_seconds_bucket", ("a", "x"), ("le", "60")));
        Assert.Equal(5, page.Value("took_seconds_count", ("a", "x")));
    }

    [Fact]
    public async Task An_instrument_s_own_bucket_bounds_come_first_then_the_options()
    {
        await using var app = new Metered(options => options.HistogramBounds = [1, 2]);
        app.Meter.CreateHistogram<double>("usual");
        app.Meter.CreateHistogram("advised", advice: new InstrumentAdvice<long> { HistogramBucketBoundaries = [10, 200] });

        var page = await app.ScrapeAsync();

        Assert.Equal(["1", "2", "+Inf"], page.Series("usual_bucket").Select(sample => sample.Labels["le"]));
        Assert.Equal(["10", "200", "+Inf"], page.Series("advised_bucket").Select(sample => sample.Labels["le"]));
    }

    [Fact]
    public async Task A_valid_name_stays_as_it_is_and_any_other_is_made_valid()
    {
        await using var app = new Metered(options => options.AddMeter("*"));
        app.Meter.CreateCounter<long>("pulse_hosted_signups_total").Add(1);
        app.Meter.CreateCounter<long>("http.server/requests-in").Add(1, Tag("net.peer", "x"), Tag("9", "y"), Tag("__name__", "z"), Tag("", "e"));
        app.Meter.CreateHistogram<double>("h").Record(1, Tag("le", "mine"));

        var page = await app.ScrapeAsync();

        Assert.Equal(1, page.Value("pulse_hosted_signups_total"));
        Assert.Equal(1, page.Value("http_server_requests_in", ("net_peer", "x"), ("_9", "y"), ("_name__", "z"), ("_", "e")));
        Assert.Equal(1, page.Value("h_count", ("exported_le", "mine")));
    }

    [Fact]
    public async Task Numbers_are_written_whole_in_any_culture()
    {
        var culture = CultureInfo.CurrentCulture;
        // Not a culture's name: only the invariant culture is there in this build. Its numbers, though, can be anybody's.
        CultureInfo.CurrentCulture = new CultureInfo("") { NumberFormat = { NumberDecimalSeparator = ",", NegativeSign = "~", NaNSymbol = "?" } };
        try
        {
            await using var app = new Metered();
            var gauge = app.Meter.CreateGauge<double>("gauge");
            double[] values = [0.1, -1e-9, 1e300, double.MaxValue, double.Epsilon, 9007199254740993, double.NaN, double.PositiveInfinity, double.NegativeInfinity];
            foreach (var (index, value) in values.Index())
                gauge.Record(value, Tag("i", index));
            gauge.Record(1, Tag("price", 2.5));

            var page = await app.ScrapeAsync();

            foreach (var (index, value) in values.Index())
                Assert.Equal(value, page.Value("gauge", ("i", index.ToString(CultureInfo.InvariantCulture))));
            Assert.Equal(1, page.Value("gauge", ("price", "2.5")));
        }
        finally
        {
            CultureInfo.CurrentCulture = culture;
        }
    }

    [Fact]
    public async Task Help_is_escaped()
    {
        await using var app = new Metered();
        app.Meter.CreateCounter<long>("a_total", description: "one\\two\nthree \"four\"");

        Assert.Equal("one\\two\nthree \"four\"", (await app.ScrapeAsync()).Families.Single(family => family.Name == "a_total").Help);
    }

    [Fact]
    public async Task Any_label_value_comes_back_from_its_escaping()
    {
        await using var app = new Metered(options => options.MaxSeriesPerInstrument = 10_000);
        var counter = app.Meter.CreateCounter<long>("a_total");
        var nasty = Gen.Elements('\\', '"', '\n', '\r', '{', '}', ',', '=', ' ', 'n', '\0', 'é', '\ud83d', '\ude00', '\u2028').ArrayOf().Select(characters => new string(characters));
        var usual = ArbMap.Default.GeneratorFor<string>().Where(text => text is not null);

        Prop.ForAll(Gen.OneOf(nasty, usual).ToArbitrary(), value =>
        {
            // Half a surrogate pair has no UTF-8; and an empty value is, to Prometheus, no label.
            var expected = Encoding.UTF8.GetString(Encoding.UTF8.GetBytes(value));
            (string, string)[] labels = expected.Length > 0 ? [("v", expected)] : [];
            var before = app.ScrapeAsync().Result.Value("a_total", labels) ?? 0;
            counter.Add(1, Tag("v", value));
            return app.ScrapeAsync().Result.Value("a_total", labels) == before + 1;
        }).QuickCheckThrowOnFailure();
    }

    [Fact]
    public async Task Values_that_come_out_alike_are_one_series()
    {
        await using var app = new Metered();
        var counter = app.Meter.CreateCounter<long>("a_total");
        foreach (var value in new[] { "\ud800", "\udc00", "\ufffd" })
            counter.Add(1, Tag("v", value));

        Assert.Equal(3, (await app.ScrapeAsync()).Value("a_total", ("v", "\ufffd")));
    }

    [Fact]
    public async Task Labels_are_the_same_in_any_order_and_the_latest_of_a_name_holds()
    {
        await using var app = new Metered();
        var counter = app.Meter.CreateCounter<long>("a_total");
        counter.Add(1, Tag("a", "1"), Tag("b", "2"));
        counter.Add(1, Tag("b", 2), Tag("a", 1L));
        counter.Add(1, Tag("a", "9"), Tag("b", "2"), Tag("a", "1"), Tag("c", null));
        // Each is in the series above, and still is not it.
        counter.Add(1, Tag("a", "1"), Tag("a", "1"));

        var page = await app.ScrapeAsync();

        Assert.Equal(3, page.Value("a_total", ("a", "1"), ("b", "2")));
        Assert.Equal(1, page.Value("a_total", ("a", "1")));
        Assert.Equal(2, page.Series("a_total").Count());
    }

    [Fact]
    public async Task Promtool_accepts_a_page_where_it_is_installed()
    {
        await using var app = new Metered(options => options.Expect("pulse_hosted_provisions_total", ("status", "success")));
        app.Meter.CreateCounter<long>("pulse_hosted_provisions_total", description: "Provisionings \\ that \n ended.").Add(1, Tag("status", "a\"\\\nb"));
        app.Meter.CreateHistogram<double>("pulse_hosted_provisioning_seconds", description: "Took.").Record(1, Tag("a", "é"));
        app.Meter.CreateObservableGauge("pulse_outbox_depth", () => double.PositiveInfinity, description: "Depth.");

        try
        {
            using var promtool = Process.Start(new ProcessStartInfo("promtool", "check metrics") { RedirectStandardInput = true, RedirectStandardOutput = true, RedirectStandardError = true })!;
            await promtool.StandardInput.WriteAsync(await app.TextAsync());
            promtool.StandardInput.Close();
            var said = await promtool.StandardOutput.ReadToEndAsync() + await promtool.StandardError.ReadToEndAsync();
            await promtool.WaitForExitAsync();
            Assert.True(promtool.ExitCode == 0, said);
        }
        catch (Win32Exception)
        {
            // Not installed: the strict reader above is what every machine has.
        }
    }
}
