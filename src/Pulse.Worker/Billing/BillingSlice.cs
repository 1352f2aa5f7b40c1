using MassTransit;
using Pulse.Catalog;
using Pulse.Hosting;

namespace Pulse.Worker.Billing;

static class BillingSlice
{
    public static void Add(IBusRegistrationConfigurator bus, Settings settings)
    {
        // Rules: plans, overrides, boundaries.
        bus.AddSingleton(Plans.Read(settings));
        bus.AddTransient<Recomputation>();
        bus.AddHostedService<PlansSweep>();
        bus.AddHostedService<BoundarySweep>();
        bus.AddConsumer<BillingCommandsConsumer>().Endpoint(endpoint => endpoint.Name = BillingCommandsConsumer.EndpointName);
        bus.AddConsumer<EntitlementsChangedConsumer>().Endpoint(endpoint => endpoint.Name = EntitlementsChangedConsumer.EndpointName);

        StripeSync.Add(bus, settings);
    }
}
