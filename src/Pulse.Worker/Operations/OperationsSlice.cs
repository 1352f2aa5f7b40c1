using MassTransit;
using Pulse.Hosting;

namespace Pulse.Worker.Operations;

static class OperationsSlice
{
    public static void Add(IBusRegistrationConfigurator bus, Settings settings)
    {
        bus.AddSingleton(OperationOptions.Read(settings));
        bus.AddSingleton<OperationPruner>();
        bus.AddHostedService(services => services.GetRequiredService<OperationPruner>());
    }
}
