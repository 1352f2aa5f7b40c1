using MassTransit;
using Pulse.Hosting;

namespace Pulse.Worker.Billing;

static class BillingSlice
{
    public static void Add(IBusRegistrationConfigurator bus, Settings settings)
    {
        // Rules: plans, overrides, boundaries.
        bus.AddSingleton(Plans.Read(settings));

        StripeSync.Add(bus, settings);
    }
}
