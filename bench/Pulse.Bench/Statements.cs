using System.Globalization;

namespace Pulse.Bench;

/// <summary>Where Postgres' time goes, by pg_stat_statements, which <c>./pulse</c> loads.</summary>
static class Statements
{
    const string TopSql = """
        select calls, total_exec_time, shared_blks_dirtied, wal_bytes::bigint, left(regexp_replace(query, '\s+', ' ', 'g'), 90)
        from pg_stat_statements
        order by total_exec_time desc
        limit 12
        """;

    /// <summary>Runs it once more, and prints what Postgres did meanwhile.</summary>
    public static async Task PrintAsync<T>(Bench bench, Func<Task<T>> runAsync)
    {
        await bench.Servers.Admin.RunAsync("create extension if not exists pg_stat_statements");
        await bench.Servers.Admin.RunAsync("select pg_stat_statements_reset()");
        await runAsync();

        await using var command = bench.Servers.Admin.CreateCommand(TopSql);
        await using var row = await command.ExecuteReaderAsync();
        bench.Say("the statements that took longest (calls, ms in all, µs a call, blocks dirtied, WAL bytes)");
        while (await row.ReadAsync())
        {
            var (calls, milliseconds) = (row.GetInt64(0), row.GetDouble(1));
            bench.Say(string.Create(CultureInfo.InvariantCulture,
                $"{calls,8} {milliseconds,9:0} {milliseconds * 1000 / calls,8:0} {row.GetInt64(2),8} {row.GetInt64(3),11}  {row.GetString(4)}"));
        }
    }

    /// <summary>How many statements a database has executed.</summary>
    public static async Task<long> CountAsync(Bench bench, string database)
    {
        await bench.Servers.Admin.RunAsync("create extension if not exists pg_stat_statements");
        return await bench.Servers.Admin.AskAsync<long>("""
            select coalesce(sum(calls), 0)::bigint from pg_stat_statements s join pg_database d on d.oid = s.dbid where d.datname = $1
            """, database);
    }
}
