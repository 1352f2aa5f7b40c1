using System.Reflection;
using System.Text;
using Pulse.Messaging.Schema;

namespace Pulse.Tests.Messaging;

/// <summary>Embedded files become a schema once, and only as they were written.</summary>
public sealed class SchemaMigratorTests : IAsyncLifetime
{
    readonly EmptyPostgres _postgres = new();

    public Task InitializeAsync() => _postgres.InitializeAsync();

    public Task DisposeAsync() => _postgres.DisposeAsync();

    [Fact]
    public async Task Files_are_applied_in_the_order_of_their_numbers()
    {
        Assert.Equal(3, await ApplyAsync(("0010_third", "insert into one values (3)"), ("0002_second", "insert into one values (2)"), ("0001_first", "create schema one; set search_path = one; create table one (at int)")));
        Assert.Equal("1 first,2 second,10 third", await RecordedAsync());
    }

    [Fact]
    public async Task A_file_is_applied_once()
    {
        var file = ("0001_first", "create table first_of_all ()");
        Assert.Equal(1, await ApplyAsync(file));
        Assert.Equal(0, await ApplyAsync(file));
        Assert.Equal(1, await ApplyAsync(file, ("0002_second", "create table second_of_all ()")));
    }

    [Fact]
    public async Task Processes_that_start_at_once_apply_each_file_once()
    {
        // Twice the same would fail: a table can't be created again.
        (string, string)[] files = [("0001_first", "select pg_sleep(0.05); create table a ()"), ("0002_second", "select pg_sleep(0.05); create table b ()")];
        var applied = await Task.WhenAll(Enumerable.Range(0, 8).Select(_ => ApplyAsync(files)));

        Assert.Equal(2, applied.Sum());
        Assert.Equal("1 first,2 second", await RecordedAsync());
    }

    [Fact]
    public async Task A_file_that_was_changed_after_it_was_applied_stops_the_start()
    {
        await ApplyAsync(("0001_first", "create table a ()"));
        var mismatch = await Assert.ThrowsAsync<SchemaMismatchException>(() => ApplyAsync(("0001_first", "create table a (b int)"), ("0002_second", "create table c ()")));

        Assert.Contains("0001_first", mismatch.Message, StringComparison.Ordinal);
        Assert.Contains("was changed after it was applied", mismatch.Message, StringComparison.Ordinal);
        Assert.Equal("1 first", await RecordedAsync());
    }

    [Fact]
    public async Task Other_line_ends_are_no_change()
    {
        await ApplyAsync(("0001_first", "create table a (\n)\n"));
        Assert.Equal(0, await ApplyAsync(("0001_first", "create table a (\r\n)\r\n")));
    }

    [Fact]
    public async Task A_database_that_is_newer_than_the_build_stops_the_start()
    {
        await ApplyAsync(("0001_first", "create table a ()"), ("0002_second", "create table b ()"));
        var mismatch = await Assert.ThrowsAsync<SchemaMismatchException>(() => ApplyAsync(("0001_first", "create table a ()")));

        Assert.Contains("0002_second", mismatch.Message, StringComparison.Ordinal);
        Assert.Contains("older than the database", mismatch.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_number_that_stands_twice_stops_the_start_before_anything_is_applied()
    {
        var mismatch = await Assert.ThrowsAsync<SchemaMismatchException>(() => ApplyAsync(("0001_first", "create table a ()"), ("0001_other", "create table b ()")));

        Assert.Contains("number 0001: first, other", mismatch.Message, StringComparison.Ordinal);
        Assert.True(await _postgres.AskAsync<bool>("select to_regclass('a') is null and to_regclass('messaging.migrations') is null"));
    }

    [Fact]
    public async Task A_file_without_a_number_stops_the_start() =>
        Assert.Contains("NNNN_name.sql", (await Assert.ThrowsAsync<SchemaMismatchException>(() => ApplyAsync(("first", "select 1")))).Message, StringComparison.Ordinal);

    [Fact]
    public async Task A_file_that_fails_leaves_nothing_of_itself_and_all_of_those_before()
    {
        await Assert.ThrowsAsync<Npgsql.PostgresException>(() => ApplyAsync(
            ("0001_first", "create schema a"), ("0002_second", "create schema b; select 1/0"), ("0003_third", "create schema c")));

        Assert.Equal("1 first", await RecordedAsync());
        Assert.True(await _postgres.AskAsync<bool>("select to_regnamespace('a') is not null and to_regnamespace('b') is null and to_regnamespace('c') is null"));
        // And the lock is given back: the mended file is applied.
        Assert.Equal(1, await ApplyAsync(("0001_first", "create schema a"), ("0002_second", "create schema b")));
    }

    Task<int> ApplyAsync(params (string Name, string Sql)[] files) => SchemaMigrator.ApplyAsync(_postgres.Worker, new Embedding(files), "Migrations");

    Task<string> RecordedAsync() =>
        _postgres.AskAsync<string>("select coalesce(string_agg(number || ' ' || name, ',' order by applied_at, number), '') from messaging.migrations where module = 'Some.Module'");

    /// <summary>An assembly of nothing but embedded files.</summary>
    sealed class Embedding((string Name, string Sql)[] files) : Assembly
    {
        const string Prefix = "Some.Module.Migrations.";

        public override AssemblyName GetName() => new("Some.Module");

        public override string[] GetManifestResourceNames() => [.. files.Select(file => $"{Prefix}{file.Name}.sql"), "Some.Module.Other.0009_not.sql", "Some.Module.Migrations.notes.txt"];

        public override Stream GetManifestResourceStream(string name) => new MemoryStream(Encoding.UTF8.GetBytes(files.Single(file => $"{Prefix}{file.Name}.sql" == name).Sql));
    }

    sealed class EmptyPostgres : TestPostgres
    {
        protected override bool Migrated => false;
    }
}
