using System.Diagnostics.Metrics;
using System.Globalization;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Pulse.Prometheus;
using static Pulse.Tests.Prometheus.Metered;

namespace Pulse.Tests.Prometheus;

public sealed class Exporting_metrics
{
    const string Provisions = "pulse_hosted_provisions_total";

    [Fact]
    public async Task What_has_no_labels_is_0_from_the_start()
    {
        await using var app = new Metered();
        app.Meter.CreateCounter<long>("pulse_hosted_signups_total");
        app.Meter.CreateHistogram<double>("pulse_hosted_provisioning_seconds");
        app.Meter.CreateUpDownCounter<long>("in_flight");
        app.Meter.CreateGauge<long>("unknown_yet");

        var page = await app.ScrapeAsync();

        Assert.Equal(0, page.Value("pulse_hosted_signups_total"));
        Assert.Equal(0, page.Value("pulse_hosted_provisioning_seconds_count"));
        Assert.Equal(0, page.Value("pulse_hosted_provisioning_seconds_bucket", ("le", "+Inf")));
        Assert.Equal(0, page.Value("in_flight"));
        Assert.Null(page.Value("unknown_yet"));
    }

    [Fact]
    public async Task A_series_without_labels_that_nobody_recorded_goes_when_labels_come()
    {
        await using var app = new Metered();
        app.Meter.CreateCounter<long>("a_total").Add(1, Tag("x", "y"));

        Assert.Single((await app.ScrapeAsync()).Series("a_total"));
    }

    [Fact]
    public async Task Expected_series_are_0_from_the_start()
    {
        await using var app = new Metered(options => options
            .Expect(Provisions, ("status", "success"))
            .Expect(Provisions, ("status", "failure"))
            .Expect("took_seconds", ("kind", "a")));
        var provisions = app.Meter.CreateCounter<long>(Provisions);
        app.Meter.CreateHistogram<double>("took_seconds");

        var before = await app.ScrapeAsync();
        provisions.Add(1, Tag("status", "success"));
        var after = await app.ScrapeAsync();

        Assert.Equal(2, before.Series(Provisions).Count());
        Assert.Equal(0, before.Value(Provisions, ("status", "success")));
        Assert.Equal(0, before.Value(Provisions, ("status", "failure")));
        Assert.Equal(0, before.Value("took_seconds_count", ("kind", "a")));
        Assert.Equal(1, after.Value(Provisions, ("status", "success")));
    }

    [Fact]
    public async Task A_value_outside_of_a_closed_set_becomes_other()
    {
        await using var app = new Metered(options => options
            .AllowLabelValues(Provisions, "status", ["success", "failure"])
            .AllowLabelValues("codes_total", "code", ["200"]));
        var provisions = app.Meter.CreateCounter<long>(Provisions);
        for (var id = 0; id < 1000; id++)
            provisions.Add(1, Tag("status", Guid.NewGuid().ToString()));
        provisions.Add(1, Tag("status", "success"));
        provisions.Add(1, Tag("status", null));
        var codes = app.Meter.CreateCounter<long>("codes_total");
        codes.Add(1, Tag("code", 200));
        codes.Add(1, Tag("code", 418));

        var page = await app.ScrapeAsync();

        Assert.Equal(2, page.Series(Provisions).Count());
        Assert.Equal(1001, page.Value(Provisions, ("status", "other")));
        Assert.Equal(1, page.Value(Provisions, ("status", "success")));
        Assert.Equal(1, page.Value("codes_total", ("code", "200")));
        Assert.Equal(1, page.Value("codes_total", ("code", "other")));
        Assert.Equal(0, page.Value("pulse_metrics_series_capped_total"));
    }

    [Fact]
    public async Task Observed_values_that_become_other_add_up_at_each_scrape_anew()
    {
        await using var app = new Metered(options => options.AllowLabelValues("deep", "queue", ["known"]));
        app.Meter.CreateObservableGauge("deep", () => new[] { new Measurement<int>(2, Tag("queue", "x")), new Measurement<int>(3, Tag("queue", "y")) });

        await app.ScrapeAsync();

        Assert.Equal(5, (await app.ScrapeAsync()).Value("deep", ("queue", "other")));
    }

    [Fact]
    public async Task Series_over_the_cap_are_one_and_are_counted()
    {
        await using var app = new Metered(options => options.MaxSeriesPerInstrument = 10);
        var counter = app.Meter.CreateCounter<long>("a_total");
        for (var id = 0; id < 100; id++)
            counter.Add(1, Tag("id", id), Tag("x", "y"));
        counter.Add(1, Tag("another", "name"));
        counter.Add(1, Tag("id", 3), Tag("x", "y"));
        counter.Add(1);

        var page = await app.ScrapeAsync();

        // Ten, other, and the one without labels, which can't be told to be other.
        Assert.Equal(12, page.Series("a_total").Count());
        Assert.Equal(91, page.Value("a_total", ("id", "other"), ("x", "other")));
        Assert.Equal(2, page.Value("a_total", ("id", "3"), ("x", "y")));
        Assert.Equal(1, page.Value("a_total"));
        Assert.Equal(91, page.Value("pulse_metrics_series_capped_total"));
    }

    [Fact]
    public async Task Without_a_setting_the_cap_is_200()
    {
        await using var app = new Metered();
        var counter = app.Meter.CreateCounter<long>("a_total");
        for (var id = 0; id < 300; id++)
            counter.Add(1, Tag("id", id));

        Assert.Equal(201, (await app.ScrapeAsync()).Series("a_total").Count());
    }

    [Fact]
    public async Task An_observed_series_that_is_reported_no_more_is_gone_and_leaves_room()
    {
        await using var app = new Metered(options => options.MaxSeriesPerInstrument = 2);
        var now = 0;
        app.Meter.CreateObservableGauge("deep", () => new Measurement<int>(1, Tag("queue", now)));
        for (; now < 10; now++)
            Assert.Equal(1, Assert.Single((await app.ScrapeAsync()).Series("deep"), sample => sample.Labels["queue"] == now.ToString(CultureInfo.InvariantCulture)).Value);
    }

    [Fact]
    public async Task Observed_series_over_the_cap_are_other_at_each_scrape_anew()
    {
        await using var app = new Metered(options => options.MaxSeriesPerInstrument = 2);
        app.Meter.CreateObservableGauge("deep", () => Enumerable.Range(0, 5).Select(queue => new Measurement<int>(1, Tag("queue", queue))));

        await app.ScrapeAsync();

        Assert.Equal(3, (await app.ScrapeAsync()).Value("deep", ("queue", "other")));
    }

    [Fact]
    public async Task An_instrument_with_a_closed_set_is_not_taken_for_one_without_labels()
    {
        await using var app = new Metered(options => options.AllowLabelValues(Provisions, "status", ["success"]));
        app.Meter.CreateCounter<long>(Provisions);

        Assert.Empty((await app.ScrapeAsync()).Series(Provisions));
    }

    [Fact]
    public async Task A_callback_that_throws_breaks_nothing_but_itself()
    {
        await using var app = new Metered();
        app.Meter.CreateObservableGauge("a", () => 1);
        app.Meter.CreateObservableGauge("b", () => Alone() + 1);
        app.Meter.CreateObservableGauge("c", Broken);
        app.Meter.CreateObservableGauge("d", () => 4);

        await app.ScrapeAsync();
        var page = await app.ScrapeAsync();

        Assert.Equal(1, page.Value("a"));
        Assert.Null(page.Value("b"));
        Assert.Equal(4, page.Value("d"));
        Assert.True(page.Value("pulse_metrics_failed_callbacks_total") >= 2);

        static int Alone() => throw new InvalidOperationException("broken");

        static IEnumerable<Measurement<int>> Broken()
        {
            yield return new Measurement<int>(1, Tag("x", "y"));
            throw new InvalidOperationException("broken, too");
        }
    }

    [Fact]
    public async Task What_can_t_be_a_measurement_is_left_out_and_counted()
    {
        await using var app = new Metered();
        var counter = app.Meter.CreateCounter<double>("a_total");
        counter.Add(2);
        counter.Add(-1);
        counter.Add(double.NaN);
        var histogram = app.Meter.CreateHistogram<double>("h");
        histogram.Record(double.PositiveInfinity);
        histogram.Record(-1);

        var page = await app.ScrapeAsync();

        Assert.Equal(2, page.Value("a_total"));
        Assert.Equal(-1, page.Value("h_sum"));
        Assert.Equal(3, page.Value("pulse_metrics_rejected_total"));
    }

    [Fact]
    public async Task Two_applications_in_one_process_do_not_mix()
    {
        await using var one = new Metered();
        await using var two = new Metered();
        one.Meter.CreateCounter<long>("a_total").Add(1);
        two.Meter.CreateCounter<long>("a_total").Add(10);

        Assert.Equal(1, (await one.ScrapeAsync()).Value("a_total"));
        Assert.Equal(10, (await two.ScrapeAsync()).Value("a_total"));
    }

    [Fact]
    public async Task Only_named_meters_are_exported_and_one_without_a_scope_is_everybody_s()
    {
        var name = $"Of.Nobody.{Guid.NewGuid():N}";
        using var meter = new Meter(name);
        var counter = meter.CreateCounter<long>("static_total");
        await using var named = new Metered(options => options.AddMeter(name));
        await using var other = new Metered();
        counter.Add(1);

        Assert.Equal(1, (await named.ScrapeAsync()).Value("static_total"));
        Assert.Null((await other.ScrapeAsync()).Value("static_total"));
        Assert.Null((await named.ScrapeAsync()).Value("a_total"));
    }

    [Fact]
    public async Task A_name_that_is_taken_is_not_exported_twice()
    {
        await using var app = new Metered();
        app.Meter.CreateHistogram<double>("x").Record(1);
        app.Meter.CreateCounter<long>("x_count").Add(5);
        app.Meter.CreateCounter<long>("y").Add(5);
        app.Meters.Create("Pulse.Another").CreateGauge<long>("y").Record(7);
        app.Meters.Create("Pulse.Another").CreateCounter<long>("y").Add(1);

        var page = await app.ScrapeAsync();

        Assert.Equal(1, page.Value("x_count"));
        Assert.Equal(6, page.Value("y"));
    }

    [Fact]
    public async Task The_process_itself_is_there()
    {
        await using var app = new Metered();

        var page = await app.ScrapeAsync();

        Assert.InRange(page.Value("process_resident_memory_bytes")!.Value, 1e6, 1e12);
        Assert.InRange(page.Value("process_cpu_seconds_total")!.Value, 0.001, 1e6);
        Assert.InRange(page.Value("process_start_time_seconds")!.Value, 1.7e9, 1e10);
    }

    [Fact]
    public async Task A_service_that_holds_instruments_is_created_before_the_first_scrape()
    {
        await using var app = new Metered(options => options.Activate<Holder>(), services => services.AddSingleton<Holder>());

        Assert.Equal(0, (await app.ScrapeAsync()).Value("held_total"));
    }

    [Fact]
    public void Options_that_contradict_each_other_stop_the_start()
    {
        var mistake = Assert.Throws<InvalidOperationException>(() => new Metered(options => options
            .Expect(Provisions, ("status", "sucess"))
            .AllowLabelValues(Provisions, "status", ["success", "failure"])));

        Assert.Contains("status=\"sucess\"", mistake.Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentException>(() => new MetricsOptions { HistogramBounds = [1, 1] });
        Assert.Throws<ArgumentOutOfRangeException>(() => new MetricsOptions { MaxSeriesPerInstrument = 0 });
    }

    [Fact]
    public async Task Prometheus_gets_the_page_over_http()
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.UseUrls("http://127.0.0.1:0");
        builder.Services.AddPulseMetrics();
        await using var app = builder.Build();
        app.MapMetrics();
        await app.StartAsync();
        using var client = new HttpClient { BaseAddress = new Uri(app.Urls.Single()) };

        using var answer = await client.GetAsync(new Uri("/metrics", UriKind.Relative));

        Assert.Equal("text/plain; version=0.0.4; charset=utf-8", answer.Content.Headers.GetValues("Content-Type").Single());
        ExpositionPage.Parse(await answer.Content.ReadAsStringAsync());
    }

    sealed class Holder
    {
        public Holder(IMeterFactory meters) => meters.Create("Pulse.Tests").CreateCounter<long>("held_total");
    }
}
