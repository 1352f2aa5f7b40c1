using MassTransit;
using Pulse.Hosting;
using Pulse.Prometheus;

namespace Pulse.Worker.Lifecycle;

static class LifecycleSlice
{
    public static void Add(IBusRegistrationConfigurator bus, Settings settings)
    {
        bus.AddSingleton<LifecycleMeter>();
        bus.AddPulseMetrics(metrics => metrics
            .Activate<LifecycleMeter>()
            .AllowLabelValues(LifecycleMeter.Transitions, "from_status", LifecycleMeter.Statuses)
            .AllowLabelValues(LifecycleMeter.Transitions, "to_status", LifecycleMeter.Statuses)
            .Expect(LifecycleMeter.Transitions, ("from_status", "active"), ("to_status", "suspended"))
            .Expect(LifecycleMeter.Transitions, ("from_status", "suspended"), ("to_status", "active"))
            .Expect(LifecycleMeter.Transitions, ("from_status", "active"), ("to_status", "pending_deletion"))
            .Expect(LifecycleMeter.Transitions, ("from_status", "suspended"), ("to_status", "pending_deletion"))
            .Expect(LifecycleMeter.Transitions, ("from_status", "pending_deletion"), ("to_status", "active"))
            .Expect(LifecycleMeter.Transitions, ("from_status", "pending_deletion"), ("to_status", "suspended"))
            .Expect(LifecycleMeter.Transitions, ("from_status", "pending_deletion"), ("to_status", "purged")));
        bus.AddConsumer<LifecycleConsumer>().Endpoint(endpoint => endpoint.Name = LifecycleConsumer.EndpointName);
        bus.AddConsumer<LifecycleMetricsConsumer>().Endpoint(endpoint => endpoint.Name = LifecycleMetricsConsumer.EndpointName);
    }
}
