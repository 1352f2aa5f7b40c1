using System.Security.Claims;
using System.Security.Cryptography;
using Microsoft.IdentityModel.JsonWebTokens;
using Microsoft.IdentityModel.Tokens;
using Pulse.Contracts.Keys;
using Pulse.Hosting;
using Pulse.Ingress;
using Pulse.Tests.Admin;
using Pulse.Tests.Signups;

namespace Pulse.Tests.Keys;

public sealed class OidcTests(TestPostgres postgres) : AdminTests(postgres)
{
    const string Path = "/api/admin/orgs";

    readonly RsaSecurityKey _signing = new(RSA.Create(2048)) { KeyId = "first" };
    Issuer? _issuer;
    TestIngress? _ingress;

    public override async Task InitializeAsync()
    {
        await base.InitializeAsync();
        _issuer = await Issuer.StartAsync(_signing);
        _ingress = await StartAsync($"PULSE_OIDC_AUTHORITY={_issuer.Address}", "PULSE_OIDC_AUDIENCE=pulse");
    }

    public override async Task DisposeAsync()
    {
        await _ingress!.DisposeAsync();
        await _issuer!.DisposeAsync();
        await base.DisposeAsync();
    }

    [Theory]
    [InlineData("scope", "openid orgs:read")]
    [InlineData("scp", "orgs:read")]
    public async Task A_token_of_the_issuer_opens_what_its_scopes_say(string claim, string scopes)
    {
        var token = Token(new() { [claim] = scopes });

        Assert.Equal(200, (int)(await AskAsync(token)).StatusCode);
        await (await SendAsync(_ingress!, "GET", $"{Path}/default/audit", token)).IsProblem(403, "insufficient_scope");
    }

    [Fact]
    public async Task Scopes_may_be_a_list() => Assert.Equal(200, (int)(await AskAsync(Token(new() { ["scp"] = (string[])["x", "orgs:read"] }))).StatusCode);

    [Fact]
    public async Task Its_subject_is_the_actor()
    {
        var org = await TenantAsync();
        var answer = SendAsync(_ingress!, "PUT", $"{Path}/{org}/billing-state", Token(new() { ["scope"] = "billing:write" }), "{\"subscription_state\":\"active\"}"u8.ToArray());
        var operation = await PendingAsync(org);
        await SucceedAsync(operation, Result());

        Assert.Equal(200, (int)(await answer).StatusCode);
        Assert.Equal("oidc:operator-7", await Postgres.AskAsync<string>("select actor from pulse.operations where operation_id = $1", operation));
    }

    [Fact]
    public async Task A_token_that_is_forged_or_meant_for_others_opens_nothing()
    {
        var good = Token(new());
        var parts = good.Split('.');
        // The issuer's public key taken for a shared secret.
        var shared = new SymmetricSecurityKey(_signing.Rsa.ExportSubjectPublicKeyInfo()) { KeyId = "first" };
        string[] tokens =
        [
            Token(new(), audience: "another"),
            Token(new(), issuer: "https://another.example.org"),
            Token(new(), signing: new SigningCredentials(new RsaSecurityKey(RSA.Create(2048)) { KeyId = "first" }, "RS256")),
            Token(new(), signing: new SigningCredentials(new RsaSecurityKey(RSA.Create(2048)) { KeyId = "unknown" }, "RS256")),
            Token(new(), signing: new SigningCredentials(shared, "HS256")),
            Token(new(), subject: ""),
            Token(new(), subject: new string('x', 256)),
            Token(new(), subject: "line\nbreak"),
            $"{Base64UrlEncoder.Encode("{\"alg\":\"none\"}")}.{parts[1]}.",
            $"{parts[0]}.{parts[1]}.",
            $"{parts[0]}.{Base64UrlEncoder.Encode("{\"sub\":\"x\",\"scope\":\"orgs:read\"}")}.{parts[2]}",
            good[..^4] + "AAAA",
        ];

        foreach (var token in tokens)
            await (await AskAsync(token)).IsProblem(401, "unauthorized");
        Assert.Equal(200, (int)(await AskAsync(good)).StatusCode);
    }

    [Fact]
    public async Task It_opens_while_it_is_in_force_by_our_clock()
    {
        var token = Token(new(), from: Clock.GetUtcNow().AddHours(1), until: Clock.GetUtcNow().AddHours(2));
        await (await AskAsync(token)).IsProblem(401, "unauthorized");

        Clock.Advance(TimeSpan.FromHours(1));
        Assert.Equal(200, (int)(await AskAsync(token)).StatusCode);
        Clock.Advance(TimeSpan.FromHours(1) + TimeSpan.FromMinutes(1));
        await (await AskAsync(token)).IsProblem(401, "unauthorized");
    }

    [Fact]
    public async Task Keys_of_ours_go_on_beside_it_and_tokens_are_nothing_where_no_issuer_is_set()
    {
        Assert.Equal(200, (int)(await AskAsync(await Postgres.KeyAsync(Scopes.OrgsRead))).StatusCode);
        await (await SendAsync("GET", Path, Token(new()))).IsProblem(401, "unauthorized");
    }

    [Fact]
    public async Task An_issuer_that_does_not_answer_is_503_for_its_tokens_only()
    {
        var token = Token(new());
        await _issuer!.DisposeAsync();

        await (await AskAsync(token)).IsProblem(503, "unavailable");
        await (await AskAsync("nonsense")).IsProblem(401, "unauthorized");
        Assert.Equal(200, (int)(await AskAsync(await Postgres.KeyAsync(Scopes.OrgsRead))).StatusCode);
    }

    [Theory]
    [InlineData("PULSE_OIDC_AUTHORITY", "PULSE_OIDC_AUTHORITY=http://login.example.org", "PULSE_OIDC_AUDIENCE=pulse")]
    [InlineData("PULSE_OIDC_AUTHORITY", "PULSE_OIDC_AUTHORITY=login", "PULSE_OIDC_AUDIENCE=pulse")]
    [InlineData("PULSE_OIDC_AUTHORITY", "PULSE_OIDC_AUDIENCE=pulse")]
    [InlineData("PULSE_OIDC_AUDIENCE", "PULSE_OIDC_AUTHORITY=https://login.example.org")]
    public void A_wrong_setting_stops_the_start_and_is_named(string name, params string[] variables)
    {
        string[] args = ["--PULSE_POSTGRES=postgresql://user:sesame@host/db", .. variables.Select(variable => $"--{variable}")];

        Assert.StartsWith(name + " ", Assert.Single(Assert.Throws<SettingsException>(() => IngressProcess.Build(args)).Mistakes), StringComparison.Ordinal);
    }

    Task<HttpResponseMessage> AskAsync(string token) => SendAsync(_ingress!, "GET", Path, token);

    string Token(
        Dictionary<string, object> claims, string audience = "pulse", string? issuer = null, string subject = "operator-7", SigningCredentials? signing = null,
        DateTimeOffset? from = null, DateTimeOffset? until = null) => new JsonWebTokenHandler { SetDefaultTimesOnTokenCreation = false }.CreateToken(new SecurityTokenDescriptor
        {
            Issuer = issuer ?? _issuer!.Address,
            Audience = audience,
            Claims = claims.Count > 0 ? claims : new Dictionary<string, object> { ["scope"] = "orgs:read" },
            Subject = new ClaimsIdentity([new Claim("sub", subject)]),
            NotBefore = (from ?? Clock.GetUtcNow()).UtcDateTime,
            Expires = (until ?? Clock.GetUtcNow().AddMinutes(10)).UtcDateTime,
            SigningCredentials = signing ?? new SigningCredentials(_signing, "RS256"),
        });
}
