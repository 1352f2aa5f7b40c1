using Npgsql;
using Pulse.Messaging.Outbox;

namespace Pulse.Messaging.Rehearsing;

/// <summary>How a rehearsal ended.</summary>
public enum RehearsalEnd
{
    /// <summary>It would be consumed.</summary>
    Consumed,

    /// <summary>Its consumer was done with it before.</summary>
    AlreadyConsumed,

    /// <summary>Its consumer throws.</summary>
    Failed,

    /// <summary>Somebody holds a row that it needs.</summary>
    Busy,

    /// <summary>It took too long.</summary>
    TimedOut,

    /// <summary>Its consumer may do more than its transaction: it was not run.</summary>
    NotRehearsable,

    /// <summary>No consumer of the endpoint takes it, or it can't be read.</summary>
    NotConsumed,
}

/// <summary>What a message would do.</summary>
public sealed record RehearsalOutcome(RehearsalEnd End)
{
    /// <summary>Rows by table, without those of this library.</summary>
    public IReadOnlyDictionary<string, long> Inserted { get; init; } = new Dictionary<string, long>();

    /// <summary>Rows by table.</summary>
    public IReadOnlyDictionary<string, long> Updated { get; init; } = new Dictionary<string, long>();

    /// <summary>Rows by table.</summary>
    public IReadOnlyDictionary<string, long> Deleted { get; init; } = new Dictionary<string, long>();

    /// <summary>Messages, timers among them, by the exchange or queue that they would go to.</summary>
    public IReadOnlyDictionary<string, long> Published { get; init; } = new Dictionary<string, long>();

    /// <summary>What its consumer throws.</summary>
    public Exception? Exception { get; init; }
}

/// <summary>The payload by which a message is known to be rehearsed: its transaction is measured where it would commit, and rolled back.</summary>
sealed class Rehearsal(TimeSpan patience)
{
    Dictionary<string, long[]> _before = [];

    public RehearsalOutcome? Outcome { get; set; }

    // Ahead of everything in the transaction. A statement waits for no lock for long: consumers that are at work come first.
    public async Task BeginAsync(NpgsqlConnection connection, CancellationToken cancellationToken)
    {
        var limits = $"set local statement_timeout = {(int)patience.TotalMilliseconds}; set local lock_timeout = {(int)Math.Max(1, patience.TotalMilliseconds / 4)}";
        await using (var command = new NpgsqlCommand(limits, connection))
            await command.ExecuteNonQueryAsync(cancellationToken);
        _before = await CountAsync(connection, cancellationToken);
    }

    /// <summary>What the transaction has changed so far.</summary>
    public async Task MeasureAsync(NpgsqlConnection connection, IReadOnlyList<OutboxMessage> published, CancellationToken cancellationToken)
    {
        var after = await CountAsync(connection, cancellationToken);
        Outcome = new RehearsalOutcome(RehearsalEnd.Consumed)
        {
            Inserted = Changes(0),
            Updated = Changes(1),
            Deleted = Changes(2),
            Published = published.GroupBy(message => message.Exchange.Length > 0 ? message.Exchange : message.RoutingKey)
                .ToDictionary(group => group.Key, group => group.LongCount()),
        };

        Dictionary<string, long> Changes(int column) => after
            .Select(table => (table.Key, Count: table.Value[column] - (_before.TryGetValue(table.Key, out var before) ? before[column] : 0)))
            .Where(table => table.Count != 0)
            .ToDictionary(table => table.Key, table => table.Count);
    }

    // The server's own count of the transaction's changes. It may begin with what the connection's last one has not reported yet, so
    // the difference is what counts. The library's own bookkeeping is in every message; sagas are of the domain.
    const string CountSql = """
        select schemaname || '.' || relname, n_tup_ins, n_tup_upd, n_tup_del from pg_stat_xact_user_tables
        where n_tup_ins + n_tup_upd + n_tup_del > 0 and not (schemaname = 'messaging' and relname in ('inbox', 'outbox'))
        """;

    static async Task<Dictionary<string, long[]>> CountAsync(NpgsqlConnection connection, CancellationToken cancellationToken)
    {
        var counts = new Dictionary<string, long[]>();
        await using var command = new NpgsqlCommand(CountSql, connection);
        await using var row = await command.ExecuteReaderAsync(cancellationToken);
        while (await row.ReadAsync(cancellationToken))
            counts[row.GetString(0)] = [row.GetInt64(1), row.GetInt64(2), row.GetInt64(3)];
        return counts;
    }
}
