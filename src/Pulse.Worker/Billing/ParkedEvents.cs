using System.Diagnostics.Metrics;
using Npgsql;

namespace Pulse.Worker.Billing;

/// <summary>How many events are parked: the database's truth, not what this process parked.</summary>
sealed partial class ParkedEvents(NpgsqlDataSource dataSource, ILogger<ParkedEvents> log) : BackgroundService
{
    static readonly TimeSpan Every = TimeSpan.FromSeconds(5);

    long? _latest;

    /// <summary>The latest count. Nothing, rather than a wrong number, while Postgres is away.</summary>
    public IEnumerable<Measurement<long>> Observe() => _latest is { } count ? [new Measurement<long>(count)] : [];

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

    // Written as the partial index's own condition, so that it is counted there.
    const string CountSql = """
        select count(*) from pulse.stripe_events where status in ('pending', 'parked', 'quarantined') and status = 'parked'
        """;

    async Task ReadAsync(CancellationToken cancellationToken)
    {
        try
        {
            await using var command = dataSource.CreateCommand(CountSql);
            _latest = (long)(await command.ExecuteScalarAsync(cancellationToken))!;
        }
        catch (Exception exception) when (exception is NpgsqlException or TimeoutException)
        {
            _latest = null;
            NotRead(log, exception.Message);
        }
    }

    [LoggerMessage(Level = LogLevel.Debug, Message = "The parked events could not be counted: {Reason}")]
    static partial void NotRead(ILogger logger, string reason);
}
