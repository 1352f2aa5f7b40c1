using Microsoft.Extensions.Logging;
using Pulse.Contracts.Keys;
using Pulse.Ingress.Keys;
using Pulse.Tests.Admin;
using Pulse.Tests.Signups;

namespace Pulse.Tests.Keys;

public sealed class KeyTests(TestPostgres postgres) : AdminTests(postgres)
{
    const string Path = "/api/admin/orgs";

    [Fact]
    public async Task A_key_with_the_scope_opens_and_one_without_it_is_told_which_is_missing()
    {
        Assert.Equal(200, (int)(await SendAsync("GET", Path, await Postgres.KeyAsync(Scopes.OrgsRead))).StatusCode);

        var refused = await SendAsync("GET", Path, await Postgres.KeyAsync(Scopes.OrgsWrite, Scopes.BillingRead));
        Assert.Contains("orgs:read", (await refused.IsProblem(403, "insufficient_scope")).GetProperty("detail").GetString(), StringComparison.Ordinal);
        Assert.Equal("Bearer realm=\"pulse\", error=\"insufficient_scope\", scope=\"orgs:read\"", refused.Header("WWW-Authenticate"));
    }

    [Fact]
    public async Task Without_a_key_it_is_401_and_says_how_to_send_one()
    {
        var answer = await SendAsync("GET", Path, null);

        await answer.IsProblem(401, "unauthorized");
        Assert.Equal("Bearer realm=\"pulse\"", answer.Header("WWW-Authenticate"));
    }

    [Fact]
    public async Task An_unknown_id_a_wrong_secret_and_nonsense_get_the_same_answer()
    {
        var key = await Postgres.KeyAsync(Scopes.OrgsRead);
        var other = AccessKey.Create().Key;
        string[] wrong = [other, key[..23] + other[23..], key + "0", "nonsense", "eyJhbGciOiJub25lIn0.e30.", "pulse_", new('x', 8000), "\u00e9", "pulse_' or 1=1 --"];
        foreach (var token in wrong)
        {
            var answer = await SendAsync("GET", Path, token);
            await answer.IsProblem(401, "unauthorized");
            Assert.Equal("Bearer realm=\"pulse\", error=\"invalid_token\"", answer.Header("WWW-Authenticate"));
        }

        foreach (var header in (string[])[key, $"Basic {key}", $"Bearer{key}", ""])
        {
            using var request = new HttpRequestMessage(HttpMethod.Get, Path);
            request.Headers.TryAddWithoutValidation("Authorization", header);
            await (await Ingress.Http.SendAsync(request)).IsProblem(401, "unauthorized");
        }
    }

    [Fact]
    public async Task An_expired_key_opens_nothing_from_that_moment_on()
    {
        var key = await Postgres.KeyAsync(Clock, TimeSpan.FromHours(1), Scopes.OrgsRead);

        Clock.Advance(TimeSpan.FromMinutes(59));
        Assert.Equal(200, (int)(await SendAsync("GET", Path, key)).StatusCode);
        Clock.Advance(TimeSpan.FromSeconds(59));
        Assert.Equal(200, (int)(await SendAsync("GET", Path, key)).StatusCode);
        // Remembered or not.
        Clock.Advance(TimeSpan.FromSeconds(1));
        await (await SendAsync("GET", Path, key)).IsProblem(401, "unauthorized");
    }

    [Fact]
    public async Task A_revoked_key_opens_nothing_once_it_is_no_longer_remembered()
    {
        var key = await Postgres.KeyAsync(Scopes.OrgsRead);
        Assert.Equal(200, (int)(await SendAsync("GET", Path, key)).StatusCode);

        await Postgres.RunAsync("update pulse.admin_keys set revoked_at = $2 where key_id = $1", key.Split('_')[1], Clock.GetUtcNow().UtcDateTime);
        Clock.Advance(KeyRing.Remembered);

        await (await SendAsync("GET", Path, key)).IsProblem(401, "unauthorized");
        Assert.InRange(KeyRing.Remembered, TimeSpan.Zero, TimeSpan.FromSeconds(5));
    }

    [Fact]
    public async Task A_remembered_key_is_not_looked_up_and_a_wrong_secret_gets_nothing_from_what_is_remembered()
    {
        var key = await Postgres.KeyAsync(Scopes.OrgsRead);
        Assert.Equal(200, (int)(await SendAsync("GET", Path, key)).StatusCode);
        await Postgres.RunAsync("delete from pulse.admin_keys where key_id = $1", key.Split('_')[1]);

        Assert.Equal(200, (int)(await SendAsync("GET", Path, key)).StatusCode);
        await (await SendAsync("GET", Path, key[..23] + AccessKey.Create().Key[23..])).IsProblem(401, "unauthorized");
        Assert.Equal(200, (int)(await SendAsync("GET", Path, key)).StatusCode);
    }

    [Fact]
    public async Task With_hosted_mode_off_no_key_finds_anything()
    {
        await using var ingress = await StartAsync("PULSE_HOSTED_MODE=false");
        var key = await Postgres.KeyAsync([.. Scopes.All]);
        foreach (var path in (string[])[Path, $"{Path}/default", $"{Path}/{Unknown}/audit", $"{Path}/{Unknown}/billing-state", $"{Path}/{Unknown}/billing-state/explain",
            $"/api/admin/operations/{Unknown}", $"/api/orgs/{Unknown}/entitlements"])
        {
            await (await SendAsync(ingress, "GET", path, key)).IsProblem(404, "not_found");
            await (await SendAsync(ingress, "GET", path, null)).IsProblem(404, "not_found");
        }
    }

    [Fact]
    public async Task A_key_is_in_no_answer_and_no_log()
    {
        var log = new HeardLines();
        await using var ingress = await TestIngress.StartAsync(Postgres.IngressAddress, Clock, log);
        var key = await Postgres.KeyAsync(Scopes.BillingRead);

        var answer = await SendAsync(ingress, "GET", Path, key);

        Assert.DoesNotContain(key[23..], await answer.Content.ReadAsStringAsync(), StringComparison.Ordinal);
        Assert.NotEmpty(log.Lines);
        Assert.DoesNotContain(log.Lines, line => line.Contains(key[23..], StringComparison.Ordinal));
    }

    sealed class HeardLines : ILoggerProvider
    {
        public System.Collections.Concurrent.ConcurrentQueue<string> Lines { get; } = new();

        public ILogger CreateLogger(string categoryName) => new Line(Lines);

        public void Dispose()
        {
        }

        sealed class Line(System.Collections.Concurrent.ConcurrentQueue<string> lines) : ILogger
        {
            public IDisposable? BeginScope<TState>(TState state)
                where TState : notnull => null;

            public bool IsEnabled(LogLevel logLevel) => true;

            public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter) =>
                lines.Enqueue(formatter(state, exception) + exception);
        }
    }
}
