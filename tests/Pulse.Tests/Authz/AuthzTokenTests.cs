using System.Security.Cryptography;
using Microsoft.IdentityModel.Tokens;
using Pulse.Tests.Keys;
using Pulse.Tests.Signups;

namespace Pulse.Tests.Authz;

/// <summary>Where the organization stands in the token of who sends the request.</summary>
public sealed class AuthzTokenTests(TestPostgres postgres) : AuthzBed(postgres)
{
    readonly RsaSecurityKey _signing = new(RSA.Create(2048)) { KeyId = "first" };
    Issuer? _issuer;

    protected override string[] Variables =>
        [$"PULSE_OIDC_AUTHORITY={_issuer!.Address}", "PULSE_OIDC_AUDIENCE=pulse", "PULSE_AUTHZ_AUDIENCE=app", "PULSE_AUTHZ_ORG_CLAIM=org_id"];

    public override async Task InitializeAsync()
    {
        _issuer = await Issuer.StartAsync(_signing);
        await base.InitializeAsync();
    }

    public override async Task DisposeAsync()
    {
        await base.DisposeAsync();
        await _issuer!.DisposeAsync();
    }

    [Fact]
    public async Task A_token_names_the_organization_and_the_proxy_is_told_which()
    {
        var org = await SubscriberAsync();

        var answer = await AskAsync(null, null, Bearer(Token(org)));
        await Allows(answer);
        Assert.Equal(org.ToString(), answer.Header("X-Pulse-Org-Id"));
        await Allows(await AskAsync(org, null, Bearer(Token(org))));
        await Denies(await AskAsync(null, null, Bearer(Token(Unknown))), 401, "org_unknown");
    }

    [Fact]
    public async Task The_header_can_t_make_a_token_good_for_another_organization()
    {
        var (org, other) = (await SubscriberAsync(), await SubscriberAsync());

        await Denies(await AskAsync(other, null, Bearer(Token(org))), 401, "org_mismatch");
        await Denies(await AskAsync("nonsense", null, Bearer(Token(org))), 401, "org_mismatch");
        await Denies(await AskAsync(other, null, ("X-Pulse-Org-Id", org.ToString()), Bearer(Token(org))), 401, "org_mismatch");
    }

    [Fact]
    public async Task A_token_that_is_not_good_lets_nobody_in_whatever_the_header_says()
    {
        var org = await SubscriberAsync();
        var good = Token(org);
        string[] tokens =
        [
            good[..^6] + "AAAAAA",
            // Meant for the admin endpoints, and not for the platform's services.
            _issuer!.Token(_signing, Clock.GetUtcNow(), "pulse", new() { ["org_id"] = org.ToString() }),
            _issuer.Token(_signing, Clock.GetUtcNow().AddHours(-2), "app", new() { ["org_id"] = org.ToString() }),
            _issuer.Token(new RsaSecurityKey(RSA.Create(2048)) { KeyId = "first" }, Clock.GetUtcNow(), "app", new() { ["org_id"] = org.ToString() }),
            _issuer.Token(_signing, Clock.GetUtcNow(), "app", new() { ["org"] = org.ToString() }),
            _issuer.Token(_signing, Clock.GetUtcNow(), "app", new() { ["org_id"] = "nonsense" }),
            "nonsense", "a.b.c", new string('x', 20_000),
        ];

        foreach (var token in tokens)
        {
            await Denies(await AskAsync(null, null, Bearer(token)), 401, "token_invalid");
            await Denies(await AskAsync(org, null, Bearer(token)), 401, "token_invalid");
        }

        // Without a token the proxy's word holds.
        await Allows(await AskAsync(org));
        await Allows(await AskAsync(org, null, ("Authorization", "Basic dTpw")));
    }

    [Fact]
    public async Task While_the_issuer_does_not_answer_a_token_is_not_believed()
    {
        var org = await SubscriberAsync();
        var token = Token(org);
        await _issuer!.DisposeAsync();

        await Denies(await AskAsync(null, null, Bearer(token)), 401, "token_unverified");
        await Allows(await AskAsync(org));
    }

    string Token(object org) => _issuer!.Token(_signing, Clock.GetUtcNow(), "app", new() { ["org_id"] = org.ToString()! });

    static (string, string) Bearer(string token) => ("Authorization", $"Bearer {token}");
}
