using System.Text.Json;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Npgsql;

namespace Pulse.Entitlements;

/// <summary>Listens on channel <c>pulse_entitlements</c>, on a connection of its own that is made again whenever it is gone.</summary>
/// <remarks>What was announced while it was gone nobody heard: after each new connection everything in memory is stale.</remarks>
sealed partial class EntitlementPush(NpgsqlDataSource dataSource, EntitlementReader reader, EntitlementOptions options, TimeProvider clock, ILogger<EntitlementPush> log)
    : BackgroundService
{
    const string ListenSql = "listen pulse_entitlements";

    // The connection goes back to a pool that may not clean it.
    const string UnlistenSql = "unlisten pulse_entitlements";

    const string ProbeSql = "select 1";

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        await Task.Yield();
        while (!stoppingToken.IsCancellationRequested)
        {
            try
            {
                await ListenAsync(stoppingToken).ConfigureAwait(false);
            }
            catch (OperationCanceledException) when (stoppingToken.IsCancellationRequested)
            {
                return;
            }
            catch (Exception exception)
            {
                Lost(log, exception.Message);
                await Task.Delay(options.Retry, clock, stoppingToken).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            }
        }
    }

    async Task ListenAsync(CancellationToken cancellationToken)
    {
        // Bounded each by itself: a server that is frozen takes a connection and answers nothing.
        await using var connection = await dataSource.OpenConnectionAsync(cancellationToken).AsTask().WaitAsync(Patience, clock, cancellationToken).ConfigureAwait(false);
        connection.Notification += (_, announced) => Hear(announced.Payload);
        try
        {
            await RunAsync(connection, ListenSql, cancellationToken).ConfigureAwait(false);
            reader.Listening();
            while (true)
            {
                if (!await connection.WaitAsync(options.Heartbeat, cancellationToken).ConfigureAwait(false))
                    await RunAsync(connection, ProbeSql, cancellationToken).ConfigureAwait(false);
            }
        }
        catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
        {
            if (connection.State == System.Data.ConnectionState.Open)
                await RunAsync(connection, UnlistenSql, CancellationToken.None).ConfigureAwait(false);
            throw;
        }
    }

    TimeSpan Patience => options.Timeout * 2;

    async Task RunAsync(NpgsqlConnection connection, string sql, CancellationToken cancellationToken)
    {
        await using var command = new NpgsqlCommand(sql, connection) { CommandTimeout = (int)Math.Ceiling(Patience.TotalSeconds) };
        await command.ExecuteNonQueryAsync(cancellationToken).ConfigureAwait(false);
    }

    void Hear(string payload)
    {
        try
        {
            using var json = JsonDocument.Parse(payload);
            reader.Announced(json.RootElement.GetProperty("org").GetGuid(), json.RootElement.GetProperty("version").GetInt64());
        }
        catch (Exception exception) when (exception is JsonException or InvalidOperationException or KeyNotFoundException or FormatException)
        {
            // Somebody changed something, and nobody understands what: then it may have been anything.
            NotUnderstood(log, exception);
            reader.Listening();
        }
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "Announcements of entitlements are not heard ({Reason}): changes are seen when what is in memory is no longer fresh")]
    static partial void Lost(ILogger logger, string reason);

    [LoggerMessage(Level = LogLevel.Warning, Message = "An announcement of entitlements can't be understood: everything in memory is stale")]
    static partial void NotUnderstood(ILogger logger, Exception exception);
}
