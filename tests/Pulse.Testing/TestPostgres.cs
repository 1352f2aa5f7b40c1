using System.Reflection;
using System.Security.Cryptography;
using Npgsql;
using Pulse.Hosting;
using Pulse.Messaging.Schema;
using Xunit;

namespace Pulse.Testing;

/// <summary>A fresh, migrated database of a real Postgres with Pulse's two roles, dropped at the end. A class fixture, or by hand.</summary>
public class TestPostgres : IAsyncLifetime
{
    const string WorkerPassword = "pulse-test-worker";
    const string IngressPassword = "pulse-test-ingress";

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
        await RunAsync(_admin, Roles);
        await RunAsync(_admin, $"create database {_name} owner pulse_worker template template0 encoding 'UTF8'");

        // As deploy/postgres/roles.sql leaves it.
        address.Database = _name;
        address.Pooling = false;
        await using (var inside = NpgsqlDataSource.Create(address))
            await RunAsync(inside, $"revoke all on database {_name} from public; grant connect on database {_name} to pulse_ingress; revoke all on schema public from public");

        WorkerAddress = $"postgresql://pulse_worker:{WorkerPassword}@{address.Host}:{address.Port}/{_name}";
        IngressAddress = $"postgresql://pulse_ingress:{IngressPassword}@{address.Host}:{address.Port}/{_name}";
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

    // Roles are the whole cluster's, and other test processes make them at the same time.
    const string Roles = $"""
        begin;
        select pg_advisory_xact_lock(hashtext('pulse test roles'));
        do $$
        begin
            if not exists (select from pg_roles where rolname = 'pulse_worker') then
                create role pulse_worker login password '{WorkerPassword}';
            end if;
            if not exists (select from pg_roles where rolname = 'pulse_ingress') then
                create role pulse_ingress login password '{IngressPassword}';
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
