using System.Text;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Options;

namespace Pulse.Prometheus;

/// <summary>The process's <c>System.Diagnostics.Metrics</c> as Prometheus text, on one endpoint.</summary>
public static class PulseMetrics
{
    /// <summary>The content type of the answer: the text exposition format, version 0.0.4.</summary>
    public const string ContentType = "text/plain; version=0.0.4; charset=utf-8";

    /// <summary>
    /// Registers the metrics of this service provider. May be called more than once, so that each feature declares its own
    /// instruments; what is configured adds up.
    /// </summary>
    /// <param name="services">Where to.</param>
    /// <param name="configure">Which meters, which label values, which series at 0 from the start. Without: meters <c>Pulse.*</c>.</param>
    /// <remarks>
    /// Measured are meters of this provider's own <c>IMeterFactory</c> and meters without a scope (<c>new Meter(…)</c>), so two
    /// applications in one process don't mix.
    /// </remarks>
    public static IServiceCollection AddPulseMetrics(this IServiceCollection services, Action<MetricsOptions>? configure = null)
    {
        services.AddMetrics();
        services.AddLogging();
        services.AddOptions<MetricsOptions>();
        if (configure is not null)
            services.Configure(configure);
        services.TryAddSingleton<Exporter>();
        return services;
    }

    /// <summary>Answers <c>GET</c> on <paramref name="pattern"/> with every series, and starts to measure.</summary>
    /// <param name="routes">Where to.</param>
    /// <param name="pattern">The path.</param>
    /// <exception cref="InvalidOperationException">The options contradict each other, or <see cref="AddPulseMetrics"/> was not called.</exception>
    public static IEndpointConventionBuilder MapMetrics(this IEndpointRouteBuilder routes, string pattern = "/metrics")
    {
        // Here, not at the first scrape: what is counted before it counts, too.
        var exporter = routes.ServiceProvider.GetRequiredService<Exporter>();
        foreach (var type in routes.ServiceProvider.GetRequiredService<IOptions<MetricsOptions>>().Value.Activated)
            routes.ServiceProvider.GetRequiredService(type);

        return routes.MapGet(pattern, async (HttpContext context) =>
        {
            var text = Encoding.UTF8.GetBytes(exporter.Scrape());
            context.Response.ContentType = ContentType;
            context.Response.ContentLength = text.Length;
            await context.Response.Body.WriteAsync(text, context.RequestAborted);
        }).ExcludeFromDescription();
    }
}
