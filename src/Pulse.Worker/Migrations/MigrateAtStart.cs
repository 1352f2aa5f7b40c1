using Npgsql;
using Pulse.Hosting;
using Pulse.Messaging;
using Pulse.Messaging.Schema;

namespace Pulse.Worker.Migrations;

/// <summary>Brings the database up to date before the bus starts. Waits a minute for a Postgres that is still starting.</summary>
sealed partial class MigrateAtStart(NpgsqlDataSource dataSource, TimeProvider clock, ILogger<MigrateAtStart> log) : IHostedService
{
    static readonly TimeSpan Patience = TimeSpan.FromMinutes(1);

    public async Task StartAsync(CancellationToken cancellationToken)
    {
        var started = clock.GetTimestamp();
        while (true)
        {
            try
            {
                var applied = await SchemaMigrator.ApplyMessagingAsync(dataSource, cancellationToken)
                    + await SchemaMigrator.ApplyAsync(dataSource, typeof(MigrateAtStart).Assembly, "Migrations", cancellationToken);
                UpToDate(log, applied);
                return;
            }
            catch (NpgsqlException exception) when (PostgresFailure.IsUnavailable(exception) && clock.GetElapsedTime(started) < Patience)
            {
                Waiting(log, exception.Message);
                await Task.Delay(TimeSpan.FromSeconds(1), cancellationToken);
            }
            catch (NpgsqlException exception)
            {
                throw new CannotStartException($"The database could not be migrated: {exception.Message}. Look at PULSE_POSTGRES and at Postgres' log.", exception);
            }
            catch (SchemaMismatchException exception)
            {
                throw new CannotStartException(exception.Message, exception);
            }
        }
    }

    public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    [LoggerMessage(Level = LogLevel.Information, Message = "The database is up to date; {Count} migrations were applied now")]
    static partial void UpToDate(ILogger logger, int count);

    [LoggerMessage(Level = LogLevel.Warning, Message = "Postgres is not there yet: {Reason}")]
    static partial void Waiting(ILogger logger, string reason);
}
