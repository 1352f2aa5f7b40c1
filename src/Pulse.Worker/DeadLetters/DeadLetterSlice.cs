using MassTransit;
using Pulse.Contracts.DeadLetters;
using Pulse.Hosting;
using Pulse.Messaging;
using Pulse.Prometheus;

namespace Pulse.Worker.DeadLetters;

static class DeadLetterSlice
{
    public static void Add(IBusRegistrationConfigurator bus, Settings settings)
    {
        bus.AddSingleton(DeadLetterOptions.Read(settings));

        // In: from the queues into rows.
        bus.AddSingleton<LetterStore>();
        bus.AddDeadLetterCollector(services => services.GetRequiredService<LetterStore>().StoreAsync);
        bus.AddHostedService<LetterRetention>();

        // Out: from rows to the queue that failed, and the consumer's own mark that it is done.
        bus.AddSingleton<ReplayEngine>();
        bus.AddHostedService(services => services.GetRequiredService<ReplayEngine>());
        bus.AddSingleton(new Receipt(LetterReading.ReplayHeader, consumed => Guid.TryParse(consumed.Header, out var replayId)
            ? LetterTable.Resolve(consumed.Endpoint, consumed.MessageId, replayId, consumed.ConsumedAt)
            : null));

        // What operators ask for.
        bus.AddConsumer<ReplayConsumer>().Endpoint(endpoint => endpoint.Name = ReplayConsumer.EndpointName);
        bus.AddConsumer<LetterConsumer>().Endpoint(endpoint => endpoint.Name = LetterConsumer.EndpointName);
        bus.AddConsumer<PreviewConsumer>().Endpoint(endpoint =>
        {
            endpoint.Name = PreviewConsumer.EndpointName;
            endpoint.ConcurrentMessageLimit = 2;
        });

        bus.AddSingleton<LetterGauges>();
        bus.AddHostedService(services => services.GetRequiredService<LetterGauges>());
        bus.AddSingleton<ReplayMeter>();
        bus.AddPulseMetrics(metrics =>
        {
            metrics.Activate<ReplayMeter>()
                .AllowLabelValues(ReplayMeter.Letters, "status", DeadLetterStatus.All)
                .AllowLabelValues(ReplayMeter.Replays, "outcome", ReplayMeter.Outcomes);
            foreach (var outcome in ReplayMeter.Outcomes)
                metrics.Expect(ReplayMeter.Replays, ("outcome", outcome));
        });
    }
}
