using System.Collections.Concurrent;
using System.Diagnostics;
using System.Text;
using Microsoft.AspNetCore.Identity;
using Microsoft.Extensions.Logging;
using Npgsql;
using Pulse.Ingress.Signups;

namespace Pulse.Tests.Signups;

public sealed class PasswordTests(TestPostgres postgres) : IClassFixture<TestPostgres>
{
    [Fact]
    public async Task A_password_is_nowhere_in_the_database_and_in_no_log_line()
    {
        var lines = new Lines();
        await using var ingress = await TestIngress.StartAsync(postgres.IngressAddress, log: lines);
        var body = Some.Signup with { Password = Some.Password };

        await (await ingress.SignupAsync(body, key: Some.Key)).SignupId();
        // On the way to a 503, too.
        await using (var command = postgres.Worker.CreateCommand("alter table pulse.signups add constraint refused check (email <> 'refused@example.org')"))
            await command.ExecuteNonQueryAsync();
        await (await ingress.SignupAsync(body with { Email = "refused@example.org" })).IsProblem(500, "internal_error");

        var bytes = Encoding.UTF8.GetBytes(body.Password!);
        foreach (var form in (string[])[body.Password!, Convert.ToHexStringLower(bytes), Convert.ToBase64String(bytes)])
        {
            Assert.Equal([], await TablesWith(form));
            Assert.DoesNotContain(lines.All, line => line.Contains(form, StringComparison.OrdinalIgnoreCase));
        }

        // The search does find what is there.
        Assert.Contains("pulse.signups", await TablesWith(body.Email!));
        Assert.NotEmpty(lines.All);
        Assert.DoesNotContain(lines.All, line => line.Contains(body.Email!, StringComparison.OrdinalIgnoreCase) || line.Contains("refused@", StringComparison.Ordinal));
    }

    [Fact]
    public async Task What_is_stored_is_a_hash_that_the_password_fits()
    {
        await using var ingress = await TestIngress.StartAsync(postgres.IngressAddress);
        var body = Some.Signup with { Password = Some.Password };
        var id = await (await ingress.SignupAsync(body)).SignupId();

        var hash = await postgres.AskAsync<string>("select password_hash from pulse.signups where signup_id = $1", id);

        var hasher = new PasswordHasher<object>();
        Assert.NotEqual(PasswordVerificationResult.Failed, hasher.VerifyHashedPassword(new(), hash, body.Password!));
        Assert.Equal(PasswordVerificationResult.Failed, hasher.VerifyHashedPassword(new(), hash, body.Password + "!"));
        // Format 1 (V3), PRF 2 (HMAC-SHA512), the iterations.
        Assert.Equal("01" + "00000002" + "000186a0", Convert.ToHexStringLower(Convert.FromBase64String(hash)[..9]));
    }

    [Fact]
    public async Task Requests_without_a_password_do_not_wait_for_hashes()
    {
        await using var ingress = await TestIngress.StartAsync(postgres.IngressAddress, null, null, "PULSE_PASSWORD_HASH_ITERATIONS=1000000", "PULSE_PASSWORD_HASH_CONCURRENCY=1");
        await (await ingress.SignupAsync(Some.Signup)).SignupId();

        var dear = Task.WhenAll(Enumerable.Range(0, 3).Select(_ => ingress.SignupAsync(Some.Signup with { Password = Some.Password })));
        for (var i = 0; i < 5; i++)
            await (await ingress.SignupAsync(Some.Signup)).SignupId();

        Assert.False(dear.IsCompleted);
        Assert.All(await dear, answer => Assert.Contains((int)answer.StatusCode, (int[])[202, 503]));
    }

    [Fact]
    public async Task There_is_no_endless_wait_for_a_turn_to_hash()
    {
        using var hashing = new PasswordHashing(new PasswordHashingOptions(1_000_000, 1, TimeSpan.FromMilliseconds(50)));
        var signup = SignupRules.Validate(new SignupRequest { Email = Some.Email, OrgName = "Acme" }, out _)!;

        var first = hashing.HashAsync(signup, Some.Password, CancellationToken.None);
        var waiting = Stopwatch.StartNew();
        Assert.Null(await hashing.HashAsync(signup, Some.Password, CancellationToken.None));

        Assert.InRange(waiting.Elapsed, TimeSpan.FromMilliseconds(40), TimeSpan.FromSeconds(5));
        Assert.NotNull(await first);
        Assert.NotNull(await hashing.HashAsync(signup, Some.Password, CancellationToken.None));
    }

    async Task<List<string>> TablesWith(string text)
    {
        var tables = new List<string>();
        await using (var command = postgres.Worker.CreateCommand("select schemaname || '.' || tablename from pg_tables where schemaname in ('pulse', 'messaging')"))
        await using (var reader = await command.ExecuteReaderAsync())
        {
            while (await reader.ReadAsync())
                tables.Add(reader.GetString(0));
        }

        var found = new List<string>();
        foreach (var table in tables)
        {
            // A row as text has its bytea in hex; the messages' bodies are looked at as text as well.
            var outbox = table == "messaging.outbox" ? " || convert_from(t.body, 'UTF8')" : "";
            await using var command = postgres.Worker.CreateCommand($"select count(*) from {table} t where strpos(lower(t::text{outbox}), lower($1)) > 0");
            command.Parameters.Add(new NpgsqlParameter { Value = text });
            if ((long)(await command.ExecuteScalarAsync())! > 0)
                found.Add(table);
        }

        return found;
    }

    sealed class Lines : ILoggerProvider, ILogger
    {
        public ConcurrentQueue<string> All { get; } = [];

        public ILogger CreateLogger(string categoryName) => this;

        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => true;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter) =>
            All.Enqueue($"{formatter(state, exception)} {exception}");

        public void Dispose()
        {
        }
    }
}
