using System.Diagnostics.Metrics;
using System.Text;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Pulse.Prometheus;

namespace Pulse.Tests.Prometheus;

/// <summary>An application with metrics and a meter of its own, scraped through its endpoint, without a socket.</summary>
sealed class Metered : IAsyncDisposable
{
    readonly WebApplication _app;
    readonly RequestDelegate _endpoint;

    public Metered(Action<MetricsOptions>? configure = null, Action<IServiceCollection>? services = null)
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Services.AddPulseMetrics(configure);
        builder.Services.AddLogging(logging => logging.ClearProviders());
        services?.Invoke(builder.Services);
        _app = builder.Build();
        _app.MapMetrics();
        _endpoint = ((IEndpointRouteBuilder)_app).DataSources.SelectMany(source => source.Endpoints).Single().RequestDelegate!;
        Meter = Meters.Create("Pulse.Tests");
    }

    public IServiceProvider Services => _app.Services;

    public IMeterFactory Meters => _app.Services.GetRequiredService<IMeterFactory>();

    public Meter Meter { get; }

    public async Task<string> TextAsync()
    {
        using var body = new MemoryStream();
        var context = new DefaultHttpContext { RequestServices = _app.Services };
        context.Response.Body = body;
        await _endpoint(context);
        Assert.Equal("text/plain; version=0.0.4; charset=utf-8", context.Response.ContentType);
        return Encoding.UTF8.GetString(body.ToArray());
    }

    public async Task<ExpositionPage> ScrapeAsync() => ExpositionPage.Parse(await TextAsync());

    public ValueTask DisposeAsync() => _app.DisposeAsync();

    public static KeyValuePair<string, object?> Tag(string name, object? value) => new(name, value);
}
