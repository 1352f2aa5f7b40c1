using MassTransit;
using Pulse.Hosting;

namespace Pulse.Worker.Audit;

static class AuditSlice
{
    public static void Add(IBusRegistrationConfigurator bus, Settings settings)
    {
        bus.AddSingleton(AuditOptions.Read(settings));
        bus.AddHostedService<CheckpointWriter>();
    }
}
