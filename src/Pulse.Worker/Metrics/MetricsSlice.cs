using MassTransit;
using Pulse.Hosting;

namespace Pulse.Worker.Metrics;

static class MetricsSlice
{
    public static void Add(IBusRegistrationConfigurator bus, Settings settings)
    {
        bus.AddSingleton<DatabaseGauges>();
        bus.AddHostedService(services => services.GetRequiredService<DatabaseGauges>());
        bus.AddSingleton<WorkerMeter>();
        bus.AddConsumer<ProvisioningMetricsConsumer>().Endpoint(endpoint => endpoint.Name = "metrics");
    }
}
