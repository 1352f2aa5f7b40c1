using System.Text.Json;
using Npgsql;

namespace Pulse.Entitlements;

/// <summary>The one statement.</summary>
static class EntitlementView
{
    const string SelectSql = """
        select org_id, version, lifecycle, unlimited, timeline::text, as_of
        from pulse.entitlements_v1
        where org_id = any($1)
        """;

    /// <summary>Reads several organizations at once: each that there is, or the exception that says why its row can't be understood.</summary>
    public static async Task ReadAsync(
        NpgsqlDataSource dataSource, Guid[] orgIds, TimelineJson json, long readAt, int generation, Action<Guid, Known?, JsonException?> rowRead, CancellationToken cancellationToken)
    {
        await using var command = dataSource.CreateCommand(SelectSql);
        command.Parameters.Add(new NpgsqlParameter<Guid[]> { TypedValue = orgIds });
        await using var reader = await command.ExecuteReaderAsync(cancellationToken).ConfigureAwait(false);
        while (await reader.ReadAsync(cancellationToken).ConfigureAwait(false))
        {
            var orgId = reader.GetGuid(0);
            try
            {
                var lifecycle = reader.GetString(2);
                rowRead(orgId, new Known
                {
                    Version = reader.GetInt64(1),
                    Exists = true,
                    // Nearly always that one.
                    Lifecycle = lifecycle == "active" ? "active" : lifecycle,
                    Unlimited = reader.GetBoolean(3),
                    Timeline = json.Parse(reader.GetString(4)),
                    VerifiedAt = new DateTimeOffset(reader.GetDateTime(5), TimeSpan.Zero),
                    ReadAt = readAt,
                    Generation = generation,
                }, null);
            }
            catch (JsonException exception)
            {
                rowRead(orgId, null, exception);
            }
        }
    }
}
