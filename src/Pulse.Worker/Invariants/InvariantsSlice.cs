using MassTransit;
using Pulse.Hosting;
using Pulse.Prometheus;

namespace Pulse.Worker.Invariants;

static class InvariantsSlice
{
    public static void Add(IBusRegistrationConfigurator bus, Settings settings)
    {
        bus.AddSingleton(InvariantOptions.Read(settings));
        bus.AddSingleton<InvariantWatch>();
        bus.AddHostedService(services => services.GetRequiredService<InvariantWatch>());
        bus.AddSingleton<InvariantMeter>();
        bus.AddPulseMetrics(metrics => metrics
            .Activate<InvariantMeter>()
            .AllowLabelValues(InvariantMeter.Violations, "invariant", InvariantTable.All.Select(invariant => invariant.Name)));
    }
}
