using Npgsql;

namespace Pulse.Tests.Isolation;

/// <summary>What the catalog says of tables that hold something of tenants.</summary>
static class TenantTables
{
    /// <summary>Theirs without an organization in them, and whose rows they are then; null: nobody's but the platform's.</summary>
    public static readonly IReadOnlyDictionary<string, string?> Indirect = new Dictionary<string, string?>
    {
        ["pulse.users"] = "user_id in (select user_id from pulse.memberships where org_id = $1)",
        ["pulse.stripe_events"] = null,
    };

    const string WithOrganizationSql = """
        select format('%I.%I', n.nspname, c.relname)
        from pg_class c join pg_namespace n on n.oid = c.relnamespace join pg_attribute a on a.attrelid = c.oid
        where n.nspname !~ '^(pg_|information_schema$)' and c.relkind in ('r', 'p') and a.attname = 'org_id' and not a.attisdropped
        order by 1
        """;

    /// <summary>Every table with an organization in it, whoever made it.</summary>
    public static Task<List<string>> WithOrganizationAsync(NpgsqlDataSource dataSource) => TextsAsync(dataSource, WithOrganizationSql);

    // Enabled, forced on its owner, and no policy for anybody but the three: what a role that has none would see is nothing.
    const string UnprotectedSql = """
        select format('%s: %s', c.oid::regclass, case
            when not c.relrowsecurity then 'row-level security is off'
            when not c.relforcerowsecurity then 'its owner is not under row-level security'
            when not exists (select from pg_policy p where p.polrelid = c.oid and p.polname = 'platform') then 'it has no policy for the platform'
            else 'it has a policy that is neither platform nor tenant, or one of them is not as pulse.isolate makes it' end)
        from pg_class c
        where c.oid = any($1::text[]::regclass[]) and (not c.relrowsecurity or not c.relforcerowsecurity
            or not exists (select from pg_policy p where p.polrelid = c.oid and p.polname = 'platform')
            or exists (
                select from pg_policy p where p.polrelid = c.oid and not case p.polname
                    when 'platform' then p.polroles @> array['pulse_worker'::regrole, 'pulse_ingress'::regrole]::oid[] and cardinality(p.polroles) = 2
                    when 'tenant' then p.polroles = array['pulse_tenant'::regrole]::oid[] and pg_get_expr(p.polqual, p.polrelid) like '%pulse.tenant()%' and p.polwithcheck is not null
                    else false end))
        order by 1
        """;

    /// <summary>What is wrong with the protection of tables.</summary>
    public static async Task<List<string>> UnprotectedAsync(NpgsqlDataSource dataSource) =>
        await TextsAsync(dataSource, UnprotectedSql, [.. await WithOrganizationAsync(dataSource), .. Indirect.Keys]);

    public static async Task<List<string>> TextsAsync(NpgsqlDataSource dataSource, string sql, string[]? parameter = null)
    {
        var texts = new List<string>();
        await using var command = dataSource.CreateCommand(sql);
        if (parameter is not null)
            command.Parameters.Add(new NpgsqlParameter<string[]> { TypedValue = parameter });
        await using var row = await command.ExecuteReaderAsync();
        while (await row.ReadAsync())
            texts.Add(row.GetString(0));
        return texts;
    }
}
