using System.Reflection;
using System.Security.Cryptography;
using System.Text;
using Dapper;
using Npgsql;

namespace Pulse.Messaging.Schema;

/// <summary>
/// Applies numbered <c>NNNN_name.sql</c> files that are embedded in an assembly, forward only, each in a transaction of its own.
/// </summary>
/// <remarks>
/// Any number of processes may start it at once: an advisory lock lets one work while the others wait. The SHA-256 of
/// each applied file is kept, and a file that was changed after it was applied stops the start.
/// </remarks>
public static class SchemaMigrator
{
    /// <summary>The migrations of Pulse.Messaging itself.</summary>
    /// <param name="dataSource">A role that may create schemas in the database.</param>
    /// <param name="cancellationToken">Stops between two files.</param>
    public static Task<int> ApplyMessagingAsync(NpgsqlDataSource dataSource, CancellationToken cancellationToken = default) =>
        ApplyAsync(dataSource, typeof(SchemaMigrator).Assembly, "Schema", cancellationToken);

    /// <summary>Applies what is embedded in <paramref name="assembly"/> under <paramref name="folder"/> and not yet applied.</summary>
    /// <param name="dataSource">A role that may create schemas in the database.</param>
    /// <param name="assembly">Its name is the module that the files are recorded under.</param>
    /// <param name="folder">The folder of the <c>.sql</c> files in the project.</param>
    /// <param name="cancellationToken">Stops between two files.</param>
    /// <returns>How many files were applied now.</returns>
    /// <exception cref="SchemaMismatchException">An applied file was changed, is missing, or a number stands twice.</exception>
    public static async Task<int> ApplyAsync(NpgsqlDataSource dataSource, Assembly assembly, string folder, CancellationToken cancellationToken = default)
    {
        var module = assembly.GetName().Name!;
        var files = Files(assembly, $"{module}.{folder}.");

        await using var connection = await dataSource.OpenConnectionAsync(cancellationToken);
        await connection.ExecuteAsync(Lock);
        try
        {
            await connection.ExecuteAsync(CreateTable);
            var applied = (await connection.QueryAsync<(int Number, string Name, string Checksum)>(Applied, new { module }))
                .ToDictionary(row => row.Number);

            foreach (var row in applied.Values)
                Verify(module, row, files);

            var pending = files.Where(file => !applied.ContainsKey(file.Number)).ToList();
            foreach (var file in pending)
            {
                cancellationToken.ThrowIfCancellationRequested();
                await using var transaction = await connection.BeginTransactionAsync(cancellationToken);
                await connection.ExecuteAsync(file.Sql, transaction: transaction);
                await connection.ExecuteAsync(Record, new { module, file.Number, file.Name, file.Checksum }, transaction);
                await transaction.CommitAsync(cancellationToken);
            }

            return pending.Count;
        }
        finally
        {
            await connection.ExecuteAsync(Unlock);
        }
    }

    const string Lock = "select pg_advisory_lock(hashtext('pulse schema migrations'))";
    const string Unlock = "select pg_advisory_unlock(hashtext('pulse schema migrations'))";

    const string CreateTable = """
        create schema if not exists messaging;
        create table if not exists messaging.migrations (
            module     text        not null,
            number     integer     not null,
            name       text        not null,
            checksum   text        not null,
            applied_at timestamptz not null default now(),
            primary key (module, number)
        )
        """;

    const string Applied = "select number, name, checksum from messaging.migrations where module = @module order by number";

    const string Record = "insert into messaging.migrations (module, number, name, checksum) values (@module, @Number, @Name, @Checksum)";

    static void Verify(string module, (int Number, string Name, string Checksum) row, List<SqlFile> files)
    {
        var file = files.Find(file => file.Number == row.Number)
            ?? throw new SchemaMismatchException(
                $"The database has migration {row.Number:0000}_{row.Name} of {module}, this build does not: it is older than the database. Deploy a build that has it.");

        if (file.Checksum != row.Checksum)
            throw new SchemaMismatchException(
                $"Migration {row.Number:0000}_{row.Name} of {module} was changed after it was applied. Put it back, and make the change in a new file.");
    }

    static List<SqlFile> Files(Assembly assembly, string prefix)
    {
        var files = assembly.GetManifestResourceNames()
            .Where(name => name.StartsWith(prefix, StringComparison.Ordinal) && name.EndsWith(".sql", StringComparison.Ordinal))
            .Select(name => SqlFile.Read(assembly, name, name[prefix.Length..^".sql".Length]))
            .OrderBy(file => file.Number)
            .ToList();

        if (files.GroupBy(file => file.Number).FirstOrDefault(group => group.Count() > 1) is { } twice)
            throw new SchemaMismatchException($"Two migrations have number {twice.Key:0000}: {string.Join(", ", twice.Select(file => file.Name))}.");

        return files;
    }

    sealed record SqlFile(int Number, string Name, string Sql, string Checksum)
    {
        public static SqlFile Read(Assembly assembly, string resource, string file)
        {
            using var reader = new StreamReader(assembly.GetManifestResourceStream(resource)!, Encoding.UTF8);
            var sql = reader.ReadToEnd().ReplaceLineEndings("\n");
            var cut = file.IndexOf('_', StringComparison.Ordinal);
            if (cut < 0 || !int.TryParse(file[..cut], out var number))
                throw new SchemaMismatchException($"{file}.sql is not named NNNN_name.sql.");

            return new SqlFile(number, file[(cut + 1)..], sql, Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(sql))));
        }
    }
}

/// <summary>The database's migrations and this build's are not the same history. The process must not start.</summary>
public sealed class SchemaMismatchException(string message) : Exception(message);
