using Npgsql;

namespace Pulse.Messaging.Outbox;

/// <summary>How much waits to be brought to the broker.</summary>
public static class OutboxDepth
{
    /// <summary>Counts due messages; timers that are not yet due do not count.</summary>
    /// <param name="dataSource">A role that may read the outbox.</param>
    /// <param name="now">UTC.</param>
    /// <param name="cancellationToken">Ends the query.</param>
    /// <returns>How many there are, and since when the oldest is due.</returns>
    public static Task<(long Depth, DateTime? Oldest)> ReadAsync(NpgsqlDataSource dataSource, DateTime now, CancellationToken cancellationToken) =>
        OutboxTable.DepthAsync(dataSource, now, cancellationToken);
}
