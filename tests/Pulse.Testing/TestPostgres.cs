using System.Reflection;
using System.Security.Cryptography;
using Npgsql;
using Pulse.Hosting;
using Pulse.Messaging.Schema;
using Pulse.Worker.Keys;
using Pulse.Worker.Provisioning;
using Xunit;

namespace Pulse.Testing;

/// <summary>A fresh, migrated database of a real Postgres with Pulse's roles, dropped at the end. A class fixture, or by hand.</summary>
public class TestPostgres : IAsyncLifetime
{
    readonly string _name = $"pulse_test_{Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(8))}";
    NpgsqlDataSource? _admin;
    NpgsqlDataSource? _worker;
    NpgsqlDataSource? _ingress;

    /// <summary>Whether the migrations are applied at the start.</summary>
    protected virtual bool Migrated => true;

    /// <summary>The owner of the schemas.</summary>
    public NpgsqlDataSource Worker => _worker ?? throw new InvalidOperationException("Not started.");

    /// <summary>The role of the process that the internet reaches.</summary>
    public NpgsqlDataSource Ingress => _ingress ?? throw new InvalidOperationException("Not started.");

    /// <summary>What PULSE_POSTGRES is for a worker.</summary>
    public string WorkerAddress { get; private set; } = "";

    /// <summary>What PULSE_POSTGRES is for an ingress.</summary>
    public string IngressAddress { get; private set; } = "";

    /// <inheritdoc />
    public async Task InitializeAsync()
    {
        var address = PostgresAddress.Parse(await TestServers.AddressAsync("PULSE_POSTGRES_ADMIN"));
        address.MaxPoolSize = 2;
        _admin = NpgsqlDataSource.Create(address);
        var worker = await PasswordAsync("PULSE_POSTGRES", "pulse-test-worker", address);
        var ingress = await PasswordAsync("PULSE_POSTGRES_INGRESS", "pulse-test-ingress", address);
        await RunAsync(_admin, Roles(worker, ingress));
        await RunAsync(_admin, $"create database {_name} owner pulse_worker template template0 encoding 'UTF8'");

        // As deploy/postgres/roles.sql leaves it.
        address.Database = _name;
        address.Pooling = false;
        await using (var inside = NpgsqlDataSource.Create(address))
            await RunAsync(inside, $"revoke all on database {_name} from public; grant connect on database {_name} to pulse_ingress; revoke all on schema public from public");

        WorkerAddress = $"postgresql://pulse_worker:{worker}@{address.Host}:{address.Port}/{_name}";
        IngressAddress = $"postgresql://pulse_ingress:{ingress}@{address.Host}:{address.Port}/{_name}";
        _worker = NpgsqlDataSource.Create(PostgresAddress.Parse(WorkerAddress));
        _ingress = NpgsqlDataSource.Create(PostgresAddress.Parse(IngressAddress));
        if (Migrated)
            await MigrateAsync();
    }

    /// <summary>Applies the migrations of both modules.</summary>
    public async Task MigrateAsync()
    {
        await SchemaMigrator.ApplyMessagingAsync(Worker);
        await SchemaMigrator.ApplyAsync(Worker, Assembly.Load("Pulse.Worker"), "Migrations");
    }

    /// <summary>Cuts every connection of the ingress, as a restart of Postgres does.</summary>
    public Task CutIngressAsync() =>
        RunAsync(_admin!, $"select pg_terminate_backend(pid) from pg_stat_activity where datname = '{_name}' and usename = 'pulse_ingress'");

    /// <summary>The one value of a query, as the worker's role.</summary>
    public async Task<T> AskAsync<T>(string sql, params object[] parameters)
    {
        await using var command = Worker.CreateCommand(sql);
        foreach (var parameter in parameters)
            command.Parameters.Add(new NpgsqlParameter { Value = parameter });

        return (T)(await command.ExecuteScalarAsync())!;
    }

    /// <summary>A new key with these scopes, as <c>./pulse admin-key create</c> makes one.</summary>
    /// <param name="clock">Null: the system's.</param>
    /// <param name="expires">From now; null for never.</param>
    /// <param name="scopes">At least one.</param>
    public async Task<string> KeyAsync(TimeProvider? clock, TimeSpan? expires, params string[] scopes)
    {
        await using var output = new StringWriter();
        await AdminKeyCommand.RunAsync(new KeyRequest.Create(scopes, "test", expires), Worker, clock ?? TimeProvider.System, output, TextWriter.Null);
        return output.ToString().Trim();
    }

    /// <summary>A new key with these scopes, without an end.</summary>
    public Task<string> KeyAsync(params string[] scopes) => KeyAsync(null, null, scopes);

    /// <summary>Provisions a signup that was accepted, as the worker's saga does.</summary>
    public async Task<Guid> ProvisionAsync(Guid signupId, TimeProvider clock)
    {
        var now = clock.GetUtcNow();
        var orgId = Guid.CreateVersion7(now);
        await using var connection = await Worker.OpenConnectionAsync();
        await TenantTable.CreateAsync(connection, signupId, orgId, Guid.CreateVersion7(now), now, now.AddDays(14), CancellationToken.None);
        return orgId;
    }

    /// <summary>Runs a statement as the worker's role.</summary>
    public async Task RunAsync(string sql, params object[] parameters)
    {
        await using var command = Worker.CreateCommand(sql);
        foreach (var parameter in parameters)
            command.Parameters.Add(new NpgsqlParameter { Value = parameter });

        await command.ExecuteNonQueryAsync();
    }

    /// <inheritdoc />
    public async Task DisposeAsync()
    {
        await (_worker?.DisposeAsync() ?? default);
        await (_ingress?.DisposeAsync() ?? default);
        if (_admin is not null)
        {
            await RunAsync(_admin, $"drop database if exists {_name} with (force)");
            await _admin.DisposeAsync();
        }
    }

    // The roles are the whole cluster's: where the script has made them, its addresses tell their passwords.
    static async Task<string> PasswordAsync(string name, string otherwise, NpgsqlConnectionStringBuilder admin) =>
        await TestServers.FindAsync(name) is { } given && PostgresAddress.Parse(given) is { Password: { } password } address
            && (address.Host, address.Port) == (admin.Host, admin.Port)
            ? password
            : otherwise;

    // Other test processes make them at the same time.
    static string Roles(string worker, string ingress) => $"""
        begin;
        select pg_advisory_xact_lock(hashtext('pulse test roles'));
        do $$
        begin
            if not exists (select from pg_roles where rolname = 'pulse_worker') then
                create role pulse_worker login password '{worker}';
            end if;
            if not exists (select from pg_roles where rolname = 'pulse_ingress') then
                create role pulse_ingress login password '{ingress}';
            end if;
            if not exists (select from pg_roles where rolname = 'pulse_tenant') then
                create role pulse_tenant nologin noinherit;
            end if;
            if not pg_has_role('pulse_ingress', 'pulse_tenant', 'member') then
                alter role pulse_ingress noinherit;
                grant pulse_tenant to pulse_ingress;
            end if;
        end $$;
        commit
        """;

    static async Task RunAsync(NpgsqlDataSource dataSource, string sql)
    {
        await using var command = dataSource.CreateCommand(sql);
        await command.ExecuteNonQueryAsync();
    }
}
