using System.Security.Cryptography;
using System.Text;
using Npgsql;

namespace Pulse.Ingress.Console;

/// <summary>Sessions of the console, and who tries to get one.</summary>
static class SessionTable
{
    // Those that are over go with the next one that begins: there are as many as operators.
    const string BeginSql = """
        with over as (delete from pulse.console_sessions where expires_at <= $3)
        insert into pulse.console_sessions (session_hash, key_id, began_at, expires_at) values ($1, $2, $3, $4)
        """;

    public static async Task BeginAsync(NpgsqlDataSource dataSource, byte[] hash, string keyId, DateTime now, DateTime until, CancellationToken cancellationToken)
    {
        await using var command = dataSource.CreateCommand(BeginSql);
        command.Parameters.Add(Value(hash));
        command.Parameters.Add(Value(keyId));
        command.Parameters.Add(Value(now));
        command.Parameters.Add(Value(until));
        await command.ExecuteNonQueryAsync(cancellationToken);
    }

    const string FindSql = "select key_id from pulse.console_sessions where session_hash = $1 and expires_at > $2 and began_at <= $2";

    /// <summary>Whose session it is; null when it is none, or over.</summary>
    public static async Task<string?> FindAsync(NpgsqlDataSource dataSource, byte[] hash, DateTime now, CancellationToken cancellationToken)
    {
        await using var command = dataSource.CreateCommand(FindSql);
        command.Parameters.Add(Value(hash));
        command.Parameters.Add(Value(now));
        return (string?)await command.ExecuteScalarAsync(cancellationToken);
    }

    const string EndSql = "delete from pulse.console_sessions where session_hash = $1";

    public static async Task EndAsync(NpgsqlDataSource dataSource, byte[] hash, CancellationToken cancellationToken)
    {
        await using var command = dataSource.CreateCommand(EndSql);
        command.Parameters.Add(Value(hash));
        await command.ExecuteNonQueryAsync(cancellationToken);
    }

    /// <summary>Wrong keys that one client may try in <see cref="Window"/>.</summary>
    public const int Tries = 10;

    public static readonly TimeSpan Window = TimeSpan.FromMinutes(10);

    // Decided and recorded at once, under the row's lock: tries at the same moment don't pass together. No more are kept than count.
    const string TrySql = """
        insert into pulse.throttles as known (key_hash, hits, expires_at)
        values ($1, array[$2], $2 + $3)
        on conflict (key_hash) do update set
            hits = array(select hit from unnest(known.hits[:$4]) hit where hit > $2 - $3 and hit < $2 + $3 order by hit) || $2,
            expires_at = excluded.expires_at
        returning cardinality(hits)
        """;

    /// <summary>Records that a client tries a key; false when it has tried too many.</summary>
    public static async Task<bool> TryAsync(NpgsqlDataSource dataSource, string client, DateTime now, CancellationToken cancellationToken)
    {
        await using var command = dataSource.CreateCommand(TrySql);
        command.Parameters.Add(Value(Subject(client)));
        command.Parameters.Add(Value(now));
        command.Parameters.Add(Value(Window));
        command.Parameters.Add(Value(Tries));
        return (int)(await command.ExecuteScalarAsync(cancellationToken))! <= Tries;
    }

    const string RightSql = "update pulse.throttles set hits = '{}' where key_hash = $1";

    /// <summary>The key was right: what was tried before does not count.</summary>
    public static async Task RightAsync(NpgsqlDataSource dataSource, string client, CancellationToken cancellationToken)
    {
        await using var command = dataSource.CreateCommand(RightSql);
        command.Parameters.Add(Value(Subject(client)));
        await command.ExecuteNonQueryAsync(cancellationToken);
    }

    static byte[] Subject(string client) => SHA256.HashData(Encoding.UTF8.GetBytes($"console-sign-in:{client}"));

    static NpgsqlParameter<T> Value<T>(T value) => new() { TypedValue = value };
}
