using System.Diagnostics.Metrics;
using Npgsql;

namespace Pulse.Worker.Hooks;

/// <summary>How many calls are under way, and for how long: the database's truth, not what this process began.</summary>
sealed partial class WaitingHookCalls(NpgsqlDataSource dataSource, TimeProvider clock, ILogger<WaitingHookCalls> log) : BackgroundService
{
    public sealed record Reading(string Type, long Count, double OldestSeconds);

    static readonly TimeSpan Every = TimeSpan.FromSeconds(5);

    IReadOnlyList<Reading>? _latest;

    /// <summary>The latest look. Nothing, rather than a wrong number, while Postgres is away.</summary>
    public IEnumerable<Measurement<double>> Observe(Func<Reading, double> value) =>
        (_latest ?? []).Select(reading => new Measurement<double>(value(reading), KeyValuePair.Create<string, object?>("type", reading.Type)));

    // Read once before the process is ready, so that no scrape comes before it.
    public override async Task StartAsync(CancellationToken cancellationToken)
    {
        await ReadAsync(cancellationToken);
        await base.StartAsync(cancellationToken);
    }

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        using var timer = new PeriodicTimer(Every);
        while (await timer.WaitForNextTickAsync(stoppingToken))
            await ReadAsync(stoppingToken);
    }

    async Task ReadAsync(CancellationToken cancellationToken)
    {
        try
        {
            var now = clock.GetUtcNow().UtcDateTime;
            var waiting = await HookCallTable.WaitingAsync(dataSource, cancellationToken);
            // A type of which nothing waits is 0, not missing.
            _latest = [.. HookMeter.Types.Select(type => waiting.FirstOrDefault(found => found.Type == type) is { Type: not null } found
                ? new Reading(type, found.Count, Math.Max(0, (now - found.Oldest).TotalSeconds))
                : new Reading(type, 0, 0))];
        }
        catch (Exception exception) when (exception is NpgsqlException or TimeoutException)
        {
            _latest = null;
            NotRead(log, exception.Message);
        }
    }

    [LoggerMessage(Level = LogLevel.Debug, Message = "The calls under way could not be counted: {Reason}")]
    static partial void NotRead(ILogger logger, string reason);
}
