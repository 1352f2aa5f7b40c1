using MassTransit;
using Pulse.Hosting;
using Pulse.Prometheus;
using Pulse.Worker.Billing.Stripe;

namespace Pulse.Worker.Billing;

/// <summary>The part of the slice that follows Stripe: events, fetching, linking, reconciliation.</summary>
static class StripeSync
{
    public static void Add(IBusRegistrationConfigurator bus, Settings settings)
    {
        bus.AddSingleton(StripeOptions.Read(settings));
        bus.AddSingleton(new SyncOptions());
        bus.AddSingleton<RequestRate>();
        bus.AddSingleton(services => new StripeGateway(
            services.GetRequiredService<StripeOptions>(), services.GetRequiredService<RequestRate>(), services.GetRequiredService<TimeProvider>(),
            services.GetRequiredService<ILogger<StripeGateway>>()));
        bus.AddSingleton<CustomerSync>();
        bus.AddSingleton<StripeEventIntake>();
        bus.AddSingleton<Reconciliation>();
        bus.AddHostedService<ReconciliationWatch>();
        bus.AddSingleton<ParkedEvents>();
        bus.AddHostedService(services => services.GetRequiredService<ParkedEvents>());
        bus.AddSingleton<DeletionSync>();
        bus.AddSingleton<SyncMeter>();
        bus.AddPulseMetrics(Metrics);

        bus.AddConsumer<StripeEventConsumer>().Endpoint(endpoint => endpoint.Name = "stripe-events");
        bus.AddConsumer<SyncConsumer>().Endpoint(endpoint => endpoint.Name = "billing-sync");
        bus.AddConsumer<DeletionConsumer>().Endpoint(endpoint => endpoint.Name = "billing-lifecycle");
    }

    static void Metrics(MetricsOptions metrics)
    {
        metrics.Activate<SyncMeter>()
            .AllowLabelValues(SyncMeter.Events, "type", StripeEventRules.Types)
            .AllowLabelValues(SyncMeter.Events, "outcome", StripeEventRules.Outcomes)
            .AllowLabelValues(SyncMeter.Refetches, "result", SyncMeter.Results)
            .AllowLabelValues(SyncMeter.Drift, "class", SyncMeter.Classes);
        foreach (var result in SyncMeter.Results)
            metrics.Expect(SyncMeter.Refetches, ("result", result));
        foreach (var drift in SyncMeter.Classes)
            metrics.Expect(SyncMeter.Drift, ("class", drift));
    }
}
