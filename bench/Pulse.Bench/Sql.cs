using Npgsql;

namespace Pulse.Bench;

/// <summary>The few forms in which a benchmark speaks to Postgres beside what it measures.</summary>
static class Sql
{
    public static async Task RunAsync(this NpgsqlDataSource dataSource, string sql, params object[] parameters)
    {
        await using var command = dataSource.Command(sql, parameters);
        // A million rows take their time.
        command.CommandTimeout = 600;
        await command.ExecuteNonQueryAsync();
    }

    public static async Task<T> AskAsync<T>(this NpgsqlDataSource dataSource, string sql, params object[] parameters)
    {
        await using var command = dataSource.Command(sql, parameters);
        return (T)(await command.ExecuteScalarAsync())!;
    }

    /// <summary>Asks until the answer is as wanted.</summary>
    public static async Task UntilAsync(this NpgsqlDataSource dataSource, string sql, Func<long, bool> done, TimeSpan every, TimeSpan deadline)
    {
        using var patience = new CancellationTokenSource(deadline);
        while (true)
        {
            var answer = await dataSource.AskAsync<long>(sql);
            if (done(answer))
                return;
            if (patience.IsCancellationRequested)
                throw new BenchmarkException($"After {deadline.TotalSeconds:0} s it still was {answer}: {sql}");
            await Task.Delay(every);
        }
    }

    // Assigned to every transaction that writes, commit or rollback, and to no other: exact and at once, where the counts of
    // pg_stat_database come up to ten seconds late.
    const string NextTransactionSql = "select pg_snapshot_xmax(pg_current_snapshot())::text::bigint";

    /// <summary>The number of the next transaction that writes, over all databases of the server.</summary>
    public static Task<long> NextTransactionAsync(this NpgsqlDataSource dataSource) => dataSource.AskAsync<long>(NextTransactionSql);

    static NpgsqlCommand Command(this NpgsqlDataSource dataSource, string sql, object[] parameters)
    {
        var command = dataSource.CreateCommand(sql);
        foreach (var parameter in parameters)
            command.Parameters.Add(new NpgsqlParameter { Value = parameter });
        return command;
    }
}

/// <summary>A benchmark can't go on, or found that what it measured is wrong.</summary>
sealed class BenchmarkException(string message) : Exception(message);
