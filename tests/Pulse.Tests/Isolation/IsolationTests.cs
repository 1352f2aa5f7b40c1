using Npgsql;

namespace Pulse.Tests.Isolation;

/// <summary>Nobody gets at anything of another tenant, in any table, those that come later included.</summary>
public sealed class IsolationTests(TestPostgres postgres) : IClassFixture<TestPostgres>
{
    [Fact]
    public async Task Every_table_with_an_organization_in_it_is_behind_forced_row_level_security()
    {
        var tables = await TenantTables.WithOrganizationAsync(postgres.Worker);

        Assert.Superset(new HashSet<string>
        {
            "pulse.audit_log", "pulse.billing_overrides", "pulse.billing_states", "pulse.memberships", "pulse.operations", "pulse.organizations", "pulse.signups", "pulse.stripe_customers",
        }, tables.ToHashSet());
        var unprotected = await TenantTables.UnprotectedAsync(postgres.Worker);
        Assert.True(unprotected.Count == 0, $"""
            A table that has an organization in it must be behind row-level security: its migration ends with select pulse.isolate('schema.table');
            {string.Join(Environment.NewLine, unprotected)}
            """);
    }

    [Fact]
    public async Task A_new_table_that_forgot_it_is_found()
    {
        await using var own = new OwnDatabase();
        await own.InitializeAsync();

        await own.RunAsync("create table pulse.forgotten (id int primary key, org_id uuid)");
        Assert.Equal("pulse.forgotten: row-level security is off", Assert.Single(await TenantTables.UnprotectedAsync(own.Worker)));
        await own.RunAsync("alter table pulse.forgotten enable row level security");
        Assert.Equal("pulse.forgotten: its owner is not under row-level security", Assert.Single(await TenantTables.UnprotectedAsync(own.Worker)));
        await own.RunAsync("alter table pulse.forgotten force row level security");
        Assert.Equal("pulse.forgotten: it has no policy for the platform", Assert.Single(await TenantTables.UnprotectedAsync(own.Worker)));
        await own.RunAsync("select pulse.isolate('pulse.forgotten')");
        Assert.Empty(await TenantTables.UnprotectedAsync(own.Worker));

        await own.RunAsync("create policy everybody on pulse.forgotten using (true)");
        Assert.Single(await TenantTables.UnprotectedAsync(own.Worker));
        await own.RunAsync("drop policy everybody on pulse.forgotten; drop policy tenant on pulse.forgotten; create policy tenant on pulse.forgotten to pulse_tenant using (true) with check (true)");
        Assert.Single(await TenantTables.UnprotectedAsync(own.Worker));
    }

    [Fact]
    public async Task In_every_table_a_tenant_sees_its_own_rows_and_changes_no_other()
    {
        // Emptied of what forbids made-up rows, and with every right that a mistake could give: only row-level security is left.
        await using var own = new OwnDatabase();
        await own.InitializeAsync();
        var tables = await TenantTables.WithOrganizationAsync(own.Worker);
        var (mine, theirs) = (Guid.CreateVersion7(), Guid.CreateVersion7());
        await own.OpenUpAsync();
        foreach (var table in tables.Concat(TenantTables.Indirect.Keys))
        {
            await own.FillAsync(table, mine);
            await own.FillAsync(table, theirs);
        }

        // The users are members: one row each was made for both.
        await own.RunAsync("delete from pulse.memberships where org_id = any($1)", new[] { mine, theirs });
        await own.RunAsync("insert into pulse.memberships (org_id, user_id, role, created_at) select $1, user_id, 'owner', now() from pulse.users order by user_id limit 1", mine);
        await own.RunAsync("insert into pulse.memberships (org_id, user_id, role, created_at) select $1, user_id, 'owner', now() from pulse.users order by user_id desc limit 1", theirs);

        foreach (var table in tables)
        {
            Assert.Equal((1L, 0L), (await own.AsTenantAsync<long>(mine, $"select count(*) from {table}"), await own.AsTenantAsync<long>(mine, $"select count(*) from {table} where org_id = '{theirs}'")));
            Assert.Equal(0, await own.ChangesAsync(mine, $"update {table} set org_id = org_id where org_id is distinct from '{mine}'"));
            Assert.Equal(0, await own.ChangesAsync(mine, $"delete from {table} where org_id is distinct from '{mine}'"));
            // Nor can a row be given away.
            await RefusedAsync(() => own.ChangesAsync(mine, $"update {table} set org_id = '{theirs}'"));
            await RefusedAsync(() => own.ChangesAsync(mine, $"update {table} set org_id = null"), PostgresErrorCodes.NotNullViolation);
            await RefusedAsync(() => own.ChangesAsync(mine, $"insert into {table} (org_id) values ('{theirs}')"), PostgresErrorCodes.NotNullViolation);
            // What it is all about: it is this tenant's row that it does see.
            Assert.Equal(mine, await own.AsTenantAsync<Guid>(mine, $"select org_id from {table}"));
        }

        foreach (var (table, whose) in TenantTables.Indirect)
        {
            Assert.Equal(whose is null ? 0L : 1L, await own.AsTenantAsync<long>(mine, $"select count(*) from {table}"));
            Assert.Equal(0, await own.ChangesAsync(theirs, $"delete from {table} where ctid not in (select ctid from {table} where {whose?.Replace("$1", $"'{theirs}'", StringComparison.Ordinal) ?? "false"})"));
        }

        foreach (var table in tables.Concat(TenantTables.Indirect.Keys))
        {
            // Who does not say whose transaction it is sees nothing, also after one that did, in the same session.
            Assert.Equal(0L, await own.AsTenantAsync<long>(null, $"select count(*) from {table}"));
            Assert.Equal(0, await own.ChangesAsync(null, $"delete from {table}"));
            // The platform's own roles see all of it.
            Assert.True(await own.AskAsync<long>($"select count(*) from {table}") >= 2, table);
        }
    }

    [Fact]
    public async Task The_tenants_role_owns_nothing_bypasses_nothing_and_can_t_log_in()
    {
        Assert.Equal("false false false false false false false", await postgres.AskAsync<string>(
            "select concat_ws(' ', rolsuper::text, rolbypassrls::text, rolcanlogin::text, rolcreaterole::text, rolcreatedb::text, rolreplication::text, rolinherit::text) from pg_roles where rolname = 'pulse_tenant'"));
        Assert.Equal(0L, await postgres.AskAsync<long>("select count(*) from pg_shdepend where refobjid = 'pulse_tenant'::regrole and deptype = 'o'"));
        Assert.Equal(0L, await postgres.AskAsync<long>("select count(*) from pg_auth_members where member = 'pulse_tenant'::regrole"));
        // Those that everything else connects as: neither gets around it either.
        Assert.Equal(0L, await postgres.AskAsync<long>("select count(*) from pg_roles where rolname in ('pulse_worker', 'pulse_ingress') and (rolsuper or rolbypassrls)"));
        Assert.Equal(0L, await postgres.AskAsync<long>("select count(*) from pg_class where relowner = 'pulse_ingress'::regrole"));
    }

    [Theory]
    [InlineData("select * from pulse.memberships")]
    [InlineData("select created_at from pulse.memberships")]
    [InlineData("insert into pulse.memberships values (gen_random_uuid(), gen_random_uuid(), 'owner', now())")]
    [InlineData("update pulse.memberships set role = 'owner'")]
    [InlineData("delete from pulse.memberships")]
    [InlineData("select email from pulse.users")]
    [InlineData("select password_hash from pulse.users")]
    [InlineData("select status from pulse.organizations")]
    [InlineData("select * from pulse.organizations_v1")]
    [InlineData("select * from pulse.entitlements_v1")]
    [InlineData("select * from pulse.audit_log")]
    [InlineData("select * from pulse.operations")]
    [InlineData("select * from messaging.outbox")]
    [InlineData("select pulse.isolate('pulse.memberships')")]
    [InlineData("select pulse.append_audit(now(), 'x', 'x', null, null, null, null)")]
    [InlineData("alter table pulse.memberships disable row level security")]
    [InlineData("create temp table mine (id int)")]
    [InlineData("set row_security = off; select role from pulse.memberships")]
    public async Task The_tenants_role_may_not(string sql) => await RefusedAsync(async () =>
    {
        await using var connection = await postgres.Ingress.OpenConnectionAsync();
        await using var transaction = await connection.BeginTransactionAsync();
        await using var command = new NpgsqlCommand($"set local role pulse_tenant; {sql}", connection, transaction);
        return await command.ExecuteNonQueryAsync();
    });

    [Fact]
    public async Task Ingress_has_the_tenants_rights_in_such_a_transaction_only()
    {
        await RefusedAsync(async () =>
        {
            await using var command = postgres.Ingress.CreateCommand("select set_config('pulse.org_id', gen_random_uuid()::text, true); select role from pulse.memberships");
            return await command.ExecuteNonQueryAsync();
        });
    }

    static async Task RefusedAsync(Func<Task<int>> attempt, string? otherwise = null)
    {
        var refused = await Assert.ThrowsAsync<PostgresException>(attempt);
        Assert.True(refused.SqlState == PostgresErrorCodes.InsufficientPrivilege || refused.SqlState == otherwise, refused.Message);
    }
}
