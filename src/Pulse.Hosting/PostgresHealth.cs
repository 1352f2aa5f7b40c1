using Microsoft.Extensions.Diagnostics.HealthChecks;
using Npgsql;

namespace Pulse.Hosting;

/// <summary>Ready only while Postgres answers within two seconds.</summary>
/// <param name="dataSource">The pool that the process works with.</param>
/// <param name="probe">What it must be able to run; name a table in it to be unready until the schema is there.</param>
public sealed class PostgresHealth(NpgsqlDataSource dataSource, string probe = "select 1") : IHealthCheck
{
    /// <inheritdoc />
    public async Task<HealthCheckResult> CheckHealthAsync(HealthCheckContext context, CancellationToken cancellationToken = default)
    {
        using var timeout = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        timeout.CancelAfter(TimeSpan.FromSeconds(2));
        try
        {
            await using var command = dataSource.CreateCommand(probe);
            await command.ExecuteNonQueryAsync(timeout.Token);
            return HealthCheckResult.Healthy();
        }
        catch (Exception exception) when (exception is NpgsqlException or OperationCanceledException or TimeoutException)
        {
            return HealthCheckResult.Unhealthy("Postgres does not answer", exception);
        }
    }
}
