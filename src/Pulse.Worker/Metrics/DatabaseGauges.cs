using System.Diagnostics.Metrics;
using Npgsql;
using Pulse.Messaging.Outbox;

namespace Pulse.Worker.Metrics;

/// <summary>Gauges that are the database's truth, not the sum of what one process saw: right from the first scrape after a restart.</summary>
sealed partial class DatabaseGauges(NpgsqlDataSource dataSource, TimeProvider clock, ILogger<DatabaseGauges> log) : BackgroundService
{
    public sealed record Reading(long ActiveTenants, long OutboxDepth, double OutboxOldestSeconds);

    static readonly TimeSpan Every = TimeSpan.FromSeconds(2);
    static readonly TimeSpan PerTenant = TimeSpan.FromMicroseconds(30);
    static readonly TimeSpan AtMost = TimeSpan.FromMinutes(1);

    Reading? _latest;

    /// <summary>The latest reading. Nothing, rather than a wrong number, before the first one and while Postgres is away.</summary>
    public IEnumerable<Measurement<double>> Observe(Func<Reading, double> value) =>
        _latest is { } reading ? [new Measurement<double>(value(reading))] : [];

    // Read once before the process is ready, so that no scrape comes before it.
    public override async Task StartAsync(CancellationToken cancellationToken)
    {
        await ReadAsync(cancellationToken);
        await base.StartAsync(cancellationToken);
    }

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        while (true)
        {
            await ReadAsync(stoppingToken);
            // A count over a million tenants takes its time, a tenth of a microsecond each: never more than a three-hundredth of a
            // processor's, but the gauge once a minute. By their number and not by a clock, which a busy machine would stretch.
            var pause = (_latest?.ActiveTenants ?? 0) * PerTenant;
            await Task.Delay(pause < Every ? Every : pause > AtMost ? AtMost : pause, stoppingToken);
        }
    }

    const string ActiveTenantsSql = "select count(*) from pulse.organizations where status = 'active' and not is_default";

    async Task ReadAsync(CancellationToken cancellationToken)
    {
        try
        {
            await using var command = dataSource.CreateCommand(ActiveTenantsSql);
            var tenants = (long)(await command.ExecuteScalarAsync(cancellationToken))!;
            var now = clock.GetUtcNow().UtcDateTime;
            var (depth, oldest) = await OutboxDepth.ReadAsync(dataSource, now, cancellationToken);
            _latest = new Reading(tenants, depth, oldest is { } due ? (now - due).TotalSeconds : 0);
        }
        catch (Exception exception) when (exception is NpgsqlException or TimeoutException)
        {
            _latest = null;
            NotRead(log, exception.Message);
        }
    }

    [LoggerMessage(Level = LogLevel.Debug, Message = "The gauges could not be read: {Reason}")]
    static partial void NotRead(ILogger logger, string reason);
}
