using MassTransit;
using Pulse.Hosting;
using Pulse.Prometheus;

namespace Pulse.Worker.Metrics;

static class MetricsSlice
{
    public static void Add(IBusRegistrationConfigurator bus, Settings settings)
    {
        bus.AddSingleton<DatabaseGauges>();
        bus.AddHostedService(services => services.GetRequiredService<DatabaseGauges>());
        bus.AddSingleton<WorkerMeter>();
        bus.AddPulseMetrics(metrics => metrics
            .Activate<WorkerMeter>()
            .AllowLabelValues(WorkerMeter.Provisions, "status", ["success", "failure"])
            .Expect(WorkerMeter.Provisions, ("status", "success"))
            .Expect(WorkerMeter.Provisions, ("status", "failure")));
        bus.AddConsumer<ProvisioningMetricsConsumer>().Endpoint(endpoint =>
        {
            endpoint.Name = "metrics";
            // It waits for its commit and does nothing else: the more wait, the more share one.
            endpoint.ConcurrentMessageLimit = 128;
        });
    }
}
