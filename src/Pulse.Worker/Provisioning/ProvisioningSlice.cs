using MassTransit;
using Pulse.Hosting;
using Pulse.Messaging.Sagas;

namespace Pulse.Worker.Provisioning;

static class ProvisioningSlice
{
    public static void Add(IBusRegistrationConfigurator bus, Settings settings)
    {
        bus.AddSingleton(ProvisioningOptions.Read(settings));
        bus.AddHostedService<SignupSweep>();
        bus.AddSagaStateMachine<ProvisioningSaga, ProvisioningState>()
            .PostgresRepository(ProvisioningSaga.EndpointName, saga => saga.CurrentState)
            .Endpoint(endpoint => endpoint.Name = ProvisioningSaga.EndpointName);
    }
}
