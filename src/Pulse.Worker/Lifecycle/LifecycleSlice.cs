using MassTransit;
using Pulse.Hosting;
using Pulse.Prometheus;

namespace Pulse.Worker.Lifecycle;

static class LifecycleSlice
{
    public static void Add(IBusRegistrationConfigurator bus, Settings settings)
    {
        bus.AddSingleton(ReaperOptions.Read(settings));
        bus.AddSingleton<LifecycleCommands>();
        bus.AddSingleton<Reaper>();
        bus.AddSingleton<Purge>();
        bus.AddSingleton<ReaperReadings>();
        bus.AddSingleton<PurgeMeter>();
        bus.AddHostedService<ReaperSweep>();
        bus.AddSingleton<LifecycleMeter>();
        bus.AddPulseMetrics(Metrics);
        bus.AddConsumer<LifecycleConsumer>().Endpoint(endpoint => endpoint.Name = LifecycleConsumer.EndpointName);
        bus.AddConsumer<LifecycleMetricsConsumer>().Endpoint(endpoint => endpoint.Name = LifecycleMetricsConsumer.EndpointName);
        bus.AddConsumer<PurgeConsumer>().Endpoint(endpoint => endpoint.Name = PurgeConsumer.EndpointName);
    }

    internal static void Metrics(MetricsOptions metrics)
    {
        metrics.Activate<LifecycleMeter>()
            .AllowLabelValues(LifecycleMeter.Transitions, "from_status", LifecycleMeter.Statuses)
            .AllowLabelValues(LifecycleMeter.Transitions, "to_status", LifecycleMeter.Statuses)
            .Expect(LifecycleMeter.Transitions, ("from_status", "active"), ("to_status", "suspended"))
            .Expect(LifecycleMeter.Transitions, ("from_status", "suspended"), ("to_status", "active"))
            .Expect(LifecycleMeter.Transitions, ("from_status", "active"), ("to_status", "pending_deletion"))
            .Expect(LifecycleMeter.Transitions, ("from_status", "suspended"), ("to_status", "pending_deletion"))
            .Expect(LifecycleMeter.Transitions, ("from_status", "pending_deletion"), ("to_status", "active"))
            .Expect(LifecycleMeter.Transitions, ("from_status", "pending_deletion"), ("to_status", "suspended"))
            .Expect(LifecycleMeter.Transitions, ("from_status", "pending_deletion"), ("to_status", "purged"));
        metrics.Activate<PurgeMeter>()
            .AllowLabelValues(PurgeMeter.Purges, "outcome", PurgeMeter.Outcomes)
            .AllowLabelValues(PurgeMeter.Pending, "state", PurgeMeter.States)
            .AllowLabelValues(PurgeMeter.ReaperStopped, "reason", PurgeMeter.Reasons);
        foreach (var outcome in PurgeMeter.Outcomes)
            metrics.Expect(PurgeMeter.Purges, ("outcome", outcome));
    }
}
