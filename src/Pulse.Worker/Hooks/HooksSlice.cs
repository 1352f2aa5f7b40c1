using MassTransit;
using Pulse.Hosting;
using Pulse.Prometheus;

namespace Pulse.Worker.Hooks;

static class HooksSlice
{
    public static void Add(IBusRegistrationConfigurator bus, Settings settings)
    {
        bus.AddSingleton(HookOptions.Read(settings));
        bus.AddSingleton<HookClient>();
        bus.AddSingleton<HookCaller>();
        bus.AddHostedService<HookSweep>();
        bus.AddSingleton<WaitingHookCalls>();
        bus.AddHostedService(services => services.GetRequiredService<WaitingHookCalls>());
        bus.AddSingleton<HookMeter>();
        bus.AddPulseMetrics(metrics =>
        {
            metrics.Activate<HookMeter>()
                .AllowLabelValues(HookMeter.Calls, "type", HookMeter.Types)
                .AllowLabelValues(HookMeter.Calls, "outcome", HookMeter.Outcomes)
                .AllowLabelValues(HookMeter.Waiting, "type", HookMeter.Types)
                .AllowLabelValues(HookMeter.Oldest, "type", HookMeter.Types);
            foreach (var type in HookMeter.Types)
            {
                foreach (var outcome in HookMeter.Outcomes)
                    metrics.Expect(HookMeter.Calls, ("type", type), ("outcome", outcome));
            }
        });

        bus.AddConsumer<HookCommandsConsumer>().Endpoint(endpoint => endpoint.Name = HookCommandsConsumer.EndpointName);
        // Apart from the commands: a platform that is slow holds up nothing but its own calls.
        bus.AddConsumer<HookCallConsumer>().Endpoint(endpoint =>
        {
            endpoint.Name = HookCaller.EndpointName;
            endpoint.ConcurrentMessageLimit = 32;
        });
    }
}
