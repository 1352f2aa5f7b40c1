using Npgsql;

namespace Pulse.Worker.Invariants;

/// <summary>The latest look, for the console: ingress may not look itself.</summary>
static class InvariantFindings
{
    // What a newer build no longer promises goes. Of several workers the last word holds.
    const string StoreSql = """
        with gone as (delete from pulse.invariant_findings where invariant <> all ($1))
        insert into pulse.invariant_findings (invariant, promise, what_to_do, violations, looked_at)
        select name, promise, what_to_do, violations, $5 from unnest($1, $2, $3, $4) as found (name, promise, what_to_do, violations)
        order by name
        on conflict (invariant) do update set
            promise = excluded.promise, what_to_do = excluded.what_to_do, violations = excluded.violations, looked_at = excluded.looked_at
        """;

    public static async Task StoreAsync(NpgsqlDataSource dataSource, IReadOnlyList<Finding> findings, DateTime now, CancellationToken cancellationToken)
    {
        await using var command = dataSource.CreateCommand(StoreSql);
        command.Parameters.Add(new NpgsqlParameter<string[]> { TypedValue = [.. findings.Select(finding => finding.Invariant.Name)] });
        command.Parameters.Add(new NpgsqlParameter<string[]> { TypedValue = [.. findings.Select(finding => finding.Invariant.Promise)] });
        command.Parameters.Add(new NpgsqlParameter<string[]> { TypedValue = [.. findings.Select(finding => finding.Invariant.WhatToDo)] });
        command.Parameters.Add(new NpgsqlParameter<long[]> { TypedValue = [.. findings.Select(finding => finding.Count)] });
        command.Parameters.Add(new NpgsqlParameter<DateTime> { TypedValue = now });
        await command.ExecuteNonQueryAsync(cancellationToken);
    }
}
