using Pulse.Contracts.Keys;
using Pulse.Worker.Keys;

namespace Pulse.Tests.Keys;

public sealed class AdminKeyCommandTests(TestPostgres postgres) : IClassFixture<TestPostgres>
{
    readonly TestClock _clock = new();
    readonly StringWriter _output = new();
    readonly StringWriter _error = new();

    [Theory]
    [InlineData("orgs:reed", "'orgs:reed'")]
    [InlineData("orgs:read,admin,*", "'admin', '*'")]
    [InlineData("", "needs --scopes")]
    public void An_unknown_scope_is_named_and_so_are_those_that_there_are(string scopes, string named)
    {
        Assert.Null(AdminKeyCommand.Read(["create", "--scopes", scopes], out var mistake));

        Assert.Contains(named, mistake, StringComparison.Ordinal);
        foreach (var scope in Scopes.All)
            Assert.Contains(scope, mistake, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData]
    [InlineData("show")]
    [InlineData("create", "--scope", "orgs:read")]
    [InlineData("create", "--scopes", "orgs:read", "--expires", "tomorrow")]
    [InlineData("create", "--scopes", "orgs:read", "--expires", "0d")]
    [InlineData("create", "--scopes", "orgs:read", "--expires", "3651d")]
    [InlineData("create", "--scopes", "orgs:read", "--expires", "-1d")]
    [InlineData("create", "--scopes", "orgs:read", "--name", "")]
    [InlineData("revoke")]
    [InlineData("revoke", "pulse_1234")]
    [InlineData("list", "all")]
    public async Task A_mistake_in_the_command_ends_with_2_and_does_nothing(params string[] args)
    {
        Assert.Equal(2, await AdminKeyCommand.RunAsync(args, _output, _error));

        Assert.Contains("admin-key create --scopes", _error.ToString(), StringComparison.Ordinal);
        Assert.Empty(_output.ToString());
    }

    [Fact]
    public async Task A_key_is_printed_once_and_only_its_hash_is_kept()
    {
        var key = await CreateAsync("create", "--scopes", "orgs:read, billing:read,orgs:read", "--name", "night shift", "--expires", "90d");
        Assert.True(AccessKey.TryRead(key, out var id, out var hash));

        Assert.Equal(hash, await postgres.AskAsync<byte[]>("select secret_hash from pulse.admin_keys where key_id = $1", id));
        Assert.Equal(["orgs:read", "billing:read"], await postgres.AskAsync<string[]>("select scopes from pulse.admin_keys where key_id = $1", id));
        Assert.Equal(_clock.GetUtcNow().AddDays(90).UtcDateTime, await postgres.AskAsync<DateTime>("select expires_at from pulse.admin_keys where key_id = $1", id));
        // Nor in the audit log.
        var audited = await postgres.AskAsync<string>("select actor || ' ' || after::text from pulse.audit_log where action = 'key.created' and after ->> 'key_id' = $1", id);
        Assert.StartsWith("cli ", audited, StringComparison.Ordinal);
        Assert.Contains("night shift", audited, StringComparison.Ordinal);
        Assert.DoesNotContain(Convert.ToHexStringLower(hash), audited, StringComparison.Ordinal);
        Assert.DoesNotContain(key[23..], audited + _error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_key_is_revoked_once_and_listed_as_such()
    {
        var id = (await CreateAsync("create", "--scopes", "audit:read")).Split('_')[1];

        Assert.Equal(0, await RunAsync("revoke", id));
        _clock.Advance(TimeSpan.FromHours(1));
        Assert.Equal(0, await RunAsync("revoke", id));
        Assert.Contains("revoked already", _error.ToString(), StringComparison.Ordinal);
        Assert.Equal(1L, await postgres.AskAsync<long>("select count(*) from pulse.audit_log where action = 'key.revoked' and after ->> 'key_id' = $1", id));
        Assert.Equal(1, await RunAsync("revoke", "0123456789abcdef"));

        Assert.Equal(0, await RunAsync("list"));
        var line = _output.ToString().Split('\n').Single(line => line.StartsWith(id, StringComparison.Ordinal));
        Assert.Contains("revoked", line, StringComparison.Ordinal);
        Assert.Contains("audit:read", line, StringComparison.Ordinal);
    }

    async Task<string> CreateAsync(params string[] args)
    {
        var before = _output.ToString().Length;
        Assert.Equal(0, await RunAsync(args));
        return _output.ToString()[before..].Trim();
    }

    async Task<int> RunAsync(params string[] args)
    {
        var request = AdminKeyCommand.Read(args, out var mistake);
        Assert.Equal("", mistake);
        return await AdminKeyCommand.RunAsync(request!, postgres.Worker, _clock, _output, _error);
    }
}
