using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using Npgsql;
using Pulse.Ingress.Http;

namespace Pulse.Tests.Signups;

public sealed class UnavailableTests(TestPostgres postgres) : IngressTests(postgres)
{
    [Fact]
    public async Task Postgres_that_is_not_there_is_503()
    {
        using var closed = new TcpListener(IPAddress.Loopback, 0);
        closed.Start();
        var address = $"postgresql://pulse_ingress:x@127.0.0.1:{((IPEndPoint)closed.LocalEndpoint).Port}/pulse";
        closed.Stop();

        await IsUnavailable(address, TimeSpan.FromSeconds(5));
    }

    [Fact]
    public async Task Postgres_that_does_not_answer_is_503_within_seconds()
    {
        // Connects, and then nothing comes.
        using var silent = new TcpListener(IPAddress.Loopback, 0);
        silent.Start();

        await IsUnavailable($"postgresql://pulse_ingress:x@127.0.0.1:{((IPEndPoint)silent.LocalEndpoint).Port}/pulse", TimeSpan.FromSeconds(8));
    }

    [Fact]
    public async Task A_lock_that_is_held_too_long_is_503()
    {
        var (client, body) = (Some.Client, Some.Signup);
        await (await Ingress.SignupAsync(body, client)).SignupId();
        await using var other = await Postgres.Worker.OpenConnectionAsync();
        await using var transaction = await other.BeginTransactionAsync();
        await using (var command = new NpgsqlCommand("lock table pulse.throttles in access exclusive mode", other, transaction))
            await command.ExecuteNonQueryAsync();

        var since = Stopwatch.StartNew();
        await (await Ingress.SignupAsync(body, client)).IsProblem(503, "unavailable");
        Assert.InRange(since.Elapsed, TimeSpan.FromSeconds(3.5), TimeSpan.FromSeconds(10));

        await transaction.RollbackAsync();
        await (await Ingress.SignupAsync(body, client)).SignupId();
    }

    [Fact]
    public async Task A_pool_without_a_free_connection_is_503_and_recovers()
    {
        await using var ingress = await TestIngress.StartAsync($"{Postgres.IngressAddress}?Maximum Pool Size=2", Clock);
        await using var other = await Postgres.Worker.OpenConnectionAsync();
        await using var transaction = await other.BeginTransactionAsync();
        await using (var command = new NpgsqlCommand("lock table pulse.throttles in access exclusive mode", other, transaction))
            await command.ExecuteNonQueryAsync();

        var answers = await Task.WhenAll(Enumerable.Range(0, 6).Select(_ => ingress.SignupAsync(Some.Signup)));
        foreach (var answer in answers)
            await answer.IsProblem(503, "unavailable");

        await transaction.RollbackAsync();
        await (await ingress.SignupAsync(Some.Signup)).SignupId();
    }

    [Fact]
    public async Task A_connection_that_was_cut_costs_one_answer_at_most()
    {
        await (await Ingress.SignupAsync(Some.Signup)).SignupId();
        await Postgres.CutIngressAsync();

        var first = await Ingress.SignupAsync(Some.Signup);
        Assert.Contains((int)first.StatusCode, (int[])[202, 503]);
        await Eventually.Until(async () => (int)(await Ingress.SignupAsync(Some.Signup)).StatusCode == 202, TimeSpan.FromSeconds(5), "a signup is accepted again");
    }

    [Theory]
    [InlineData("23505", false)]
    [InlineData("22021", false)]
    [InlineData("42601", false)]
    [InlineData("40P01", true)]
    [InlineData("53300", true)]
    [InlineData("57P01", true)]
    [InlineData("25006", true)]
    [InlineData("25P02", false)]
    [InlineData("42P01", true)]
    public void Only_what_may_pass_is_unavailable(string state, bool unavailable) =>
        Assert.Equal(unavailable, Unhandled.IsUnavailable(new PostgresException("", "ERROR", "ERROR", state)));

    async Task IsUnavailable(string address, TimeSpan within)
    {
        await using var ingress = await TestIngress.StartAsync(address, Clock);
        foreach (var body in (SignupBody[])[Some.Signup, Some.Signup with { Password = Some.Password }])
        {
            var since = Stopwatch.StartNew();
            var answer = await ingress.SignupAsync(body);

            var text = (await answer.IsProblem(503, "unavailable")).ToString();
            Assert.InRange(since.Elapsed, TimeSpan.Zero, within);
            Assert.Equal("5", answer.Header("Retry-After"));
            Assert.DoesNotContain("Npgsql", text, StringComparison.Ordinal);
        }

        await (await ingress.Http.GetAsync("/api/public/signup/01900000-0000-7000-8000-000000000000")).IsProblem(503, "unavailable");
        Assert.Equal(503, (int)(await ingress.Http.GetAsync("/health/ready")).StatusCode);
        Assert.Equal(200, (int)(await ingress.Http.GetAsync("/health/live")).StatusCode);
    }
}

public sealed class NotMigratedTests(NotMigratedTests.Empty postgres) : IClassFixture<NotMigratedTests.Empty>
{
    [Fact]
    public async Task Before_the_migrations_it_is_unready_and_503_and_after_them_it_works()
    {
        await using var ingress = await TestIngress.StartAsync(postgres.IngressAddress);
        Assert.Equal(503, (int)(await ingress.Http.GetAsync("/health/ready")).StatusCode);
        await (await ingress.SignupAsync(Some.Signup)).IsProblem(503, "unavailable");
        await (await ingress.SignupAsync(Some.Signup with { Password = Some.Password })).IsProblem(503, "unavailable");

        await postgres.MigrateAsync();

        Assert.Equal(200, (int)(await ingress.Http.GetAsync("/health/ready")).StatusCode);
        await (await ingress.SignupAsync(Some.Signup)).SignupId();
    }

    public sealed class Empty : TestPostgres
    {
        protected override bool Migrated => false;
    }
}
