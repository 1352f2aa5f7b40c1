using System.Diagnostics.Metrics;
using Npgsql;
using Pulse.Messaging;

namespace Pulse.Worker.Invariants;

/// <summary>Looks at the invariants once a minute, at what was signed up within the last day, and tells by a gauge.</summary>
sealed partial class InvariantWatch(
    NpgsqlDataSource dataSource, InvariantOptions options, MessagingOptions messaging, TimeProvider clock, ILogger<InvariantWatch> log)
    : BackgroundService
{
    IReadOnlyList<Finding> _latest = [];

    /// <summary>The latest look. Nothing, rather than a wrong number, before the first one and while Postgres is away.</summary>
    public IEnumerable<Measurement<long>> Observe() =>
        _latest.Select(finding => new Measurement<long>(finding.Count, KeyValuePair.Create<string, object?>("invariant", finding.Invariant.Name)));

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        while (true)
        {
            var started = clock.GetTimestamp();
            await LookAsync(stoppingToken);
            // Never more than a fiftieth of the database's time, however much there is to look at.
            var pause = clock.GetElapsedTime(started) * 50;
            await Task.Delay(pause > options.Every ? pause : options.Every, stoppingToken);
        }
    }

    internal async Task LookAsync(CancellationToken cancellationToken)
    {
        var now = clock.GetUtcNow();
        try
        {
            _latest = await InvariantTable.CheckAsync(
                dataSource,
                new InvariantScope
                {
                    Now = now,
                    Since = now - options.Window,
                    UnfinishedAfter = options.UnfinishedAfter,
                    OutboxAfter = options.OutboxAfter,
                    InboxKept = messaging.InboxRetention - TimeSpan.FromDays(1),
                },
                cancellationToken);
            await InvariantFindings.StoreAsync(dataSource, _latest, now.UtcDateTime, cancellationToken);
            foreach (var broken in _latest.Where(finding => !finding.Holds))
                Broken(log, broken.Invariant.Name, broken.Count, string.Join(", ", broken.Samples));
        }
        catch (Exception exception) when (exception is NpgsqlException or TimeoutException)
        {
            _latest = [];
            NotLooked(log, exception.Message);
        }
    }

    [LoggerMessage(Level = LogLevel.Error, Message = "Invariant {Invariant} is broken by {Count}: {Samples}. ./pulse doctor says what to do")]
    static partial void Broken(ILogger logger, string invariant, long count, string samples);

    [LoggerMessage(Level = LogLevel.Debug, Message = "The invariants could not be looked at: {Reason}")]
    static partial void NotLooked(ILogger logger, string reason);
}

/// <summary>The gauge. Its label's values are the invariants' names, and no others.</summary>
sealed class InvariantMeter
{
    public const string Violations = "pulse_hosted_invariant_violations";

    public InvariantMeter(IMeterFactory meters, InvariantWatch watch) =>
        meters.Create("Pulse.Worker.Invariants").CreateObservableGauge(
            Violations, watch.Observe, description: "What breaks an invariant, among what was signed up within the last day. Anything but 0 is a bug or a hand in the database.");
}
