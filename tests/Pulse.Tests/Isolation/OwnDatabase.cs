using Npgsql;

namespace Pulse.Tests.Isolation;

/// <summary>A database that is taken apart: nothing is left in it that keeps a made-up row out, or a role from trying.</summary>
sealed class OwnDatabase : TestPostgres, IAsyncDisposable
{
    const string OpenUpSql = """
        do $$
        declare
            found record;
        begin
            for found in select conrelid::regclass as target, conname from pg_constraint where contype in ('c', 'f') and connamespace = 'pulse'::regnamespace loop
                execute format('alter table %s drop constraint %I', found.target, found.conname);
            end loop;
            for found in select c.oid::regclass as target from pg_class c where c.relkind = 'r' and c.relnamespace = 'pulse'::regnamespace loop
                execute format('alter table %s disable trigger user', found.target);
            end loop;
        end $$;
        grant all on all tables in schema pulse to pulse_tenant
        """;

    public Task OpenUpAsync() => RunAsync(OpenUpSql);

    // Something of each column's type, the organization's in org_id, and something of its own in each column of a key.
    const string RowSql = """
        select format('insert into %s (%s) values (%s)', $1::text,
            string_agg(quote_ident(a.attname), ', '),
            string_agg(case
                when a.attname = 'org_id' then quote_literal($2::text)
                when t.typcategory = 'A' then '''{}'''
                when t.typname = 'uuid' then 'gen_random_uuid()'
                when t.typname in ('json', 'jsonb') then '''{}'''
                when t.typname = 'bytea' then 'uuid_send(gen_random_uuid())'
                when t.typname = 'bool' then 'false'
                when t.typname in ('timestamptz', 'timestamp', 'date') then 'now()'
                when t.typname = 'interval' then '''1 s'''
                when t.typcategory = 'N' then '(random() * 1000000000)::int'
                else 'gen_random_uuid()::text' end, ', '))
        from pg_attribute a join pg_type t on t.oid = a.atttypid
        where a.attrelid = $1::text::regclass and a.attnum > 0 and not a.attisdropped and a.attgenerated = '' and a.attidentity <> 'a'
            and (a.attname = 'org_id' or a.attnotnull)
        """;

    /// <summary>Makes a row of an organization, in any table.</summary>
    public async Task FillAsync(string table, Guid org) => await RunAsync(await AskAsync<string>(RowSql, table, org.ToString()));

    /// <summary>The one value of a query as the tenants' role.</summary>
    /// <param name="org">Whose transaction it is; null: it is not said.</param>
    public async Task<T> AsTenantAsync<T>(Guid? org, string sql)
    {
        await using var connection = await Ingress.OpenConnectionAsync();
        await using var transaction = await EnterAsync(connection, org);
        await using var command = new NpgsqlCommand(sql, connection, transaction);
        return (T)(await command.ExecuteScalarAsync())!;
    }

    /// <summary>How many rows a statement changes as the tenants' role. It is taken back.</summary>
    public async Task<int> ChangesAsync(Guid? org, string sql)
    {
        await using var connection = await Ingress.OpenConnectionAsync();
        await using var transaction = await EnterAsync(connection, org);
        await using var command = new NpgsqlCommand(sql, connection, transaction);
        return await command.ExecuteNonQueryAsync();
    }

    static async Task<NpgsqlTransaction> EnterAsync(NpgsqlConnection connection, Guid? org)
    {
        var transaction = await connection.BeginTransactionAsync();
        await using var command = new NpgsqlCommand(
            org is null ? "select set_config('role', 'pulse_tenant', true)" : "select set_config('role', 'pulse_tenant', true), set_config('pulse.org_id', $1, true)", connection, transaction);
        if (org is not null)
            command.Parameters.Add(new NpgsqlParameter<string> { TypedValue = org.ToString()! });
        await command.ExecuteNonQueryAsync();
        return transaction;
    }

    async ValueTask IAsyncDisposable.DisposeAsync() => await DisposeAsync();
}
