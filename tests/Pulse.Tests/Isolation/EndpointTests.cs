using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using Microsoft.IdentityModel.Tokens;
using Pulse.Contracts.Keys;
using Pulse.Tests.Authz;
using Pulse.Tests.Keys;
using Pulse.Tests.Signups;

namespace Pulse.Tests.Isolation;

/// <summary>A member of one organization, at every endpoint that has another's address in it.</summary>
public sealed class EndpointTests(TestPostgres postgres) : AuthzBed(postgres)
{
    readonly RsaSecurityKey _signing = new(RSA.Create(2048)) { KeyId = "first" };
    Issuer? _issuer;

    protected override string[] Variables =>
        [$"PULSE_OIDC_AUTHORITY={_issuer!.Address}", "PULSE_OIDC_AUDIENCE=pulse", "PULSE_AUTHZ_ORG_CLAIM=org_id"];

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
    public async Task A_member_of_another_organization_sees_and_changes_nothing_at_any_endpoint()
    {
        var signup = Some.Signup;
        var (mine, theirs) = (await SubscriberAsync("export"), await TenantAsync(signup));
        var member = await Postgres.AskAsync<Guid>("select user_id from pulse.memberships where org_id = $1", mine);
        var token = _issuer!.Token(_signing, Clock.GetUtcNow(), "pulse", new() { ["org_id"] = mine.ToString(), ["scope"] = "openid profile orgs owner" }, member.ToString());
        var before = await StateAsync(theirs);

        var routes = 0;
        var document = await (await Proxied.Http.GetAsync("/openapi/v1.json")).Json();
        foreach (var path in document.GetProperty("paths").EnumerateObject())
        {
            // What needs no key is the public's, and EveryRouteTests knows which that is.
            foreach (var method in path.Value.EnumerateObject().Where(method => method.Value.TryGetProperty("security", out _)))
            {
                var target = path.Name.Replace("{org_id}", theirs.ToString(), StringComparison.Ordinal).Replace("{operation_id}", theirs.ToString(), StringComparison.Ordinal);
                var answer = await SendAsync(Proxied, method.Name.ToUpper(CultureInfo.InvariantCulture), target, token, "{}"u8.ToArray(), ("X-Pulse-Authz-Key", Key), ("X-Pulse-Org-Id", theirs.ToString()));

                // An operation is looked for by any key, and shown to none that lacks its scope.
                int[] expected = path.Name == "/authz" ? [401] : path.Name.Contains("{operation_id}", StringComparison.Ordinal) ? [403, 404] : [403];
                Assert.True(expected.Contains((int)answer.StatusCode), $"{method.Name} {path.Name}: {(int)answer.StatusCode}");
                var text = await answer.Content.ReadAsStringAsync();
                Assert.DoesNotContain(signup.Email!, text, StringComparison.OrdinalIgnoreCase);
                Assert.DoesNotContain(signup.OrgName!, text, StringComparison.Ordinal);
                routes++;
            }
        }

        Assert.True(routes >= 17, $"{routes} routes");
        // With the platform's own key a service asks for the member: no, whatever the action.
        var key = await Postgres.KeyAsync(Scopes.EntitlementsRead);
        foreach (var action in (string[])["read", "write", "manage_members", "manage_billing", "delete_organization"])
        {
            var question = Encoding.UTF8.GetBytes($$$"""{"subject":{"type":"user","id":"{{{member}}}"},"action":{"name":"{{{action}}}"},"resource":{"type":"organization","id":"{{{theirs}}}"}}""");
            Assert.Equal("""{"decision":false,"context":{"reason":"not_a_member"}}""", await (await SendAsync(Proxied, "POST", "/access/v1/evaluation", key, question)).Content.ReadAsStringAsync());
        }

        Assert.Equal(before, await StateAsync(theirs));
        await Allows(await AskAsync(null, null, ("Authorization", $"Bearer {token}")));
    }

    Task<string> StateAsync(Guid org) => Postgres.AskAsync<string>("""
        select concat_ws('|', o::text, b::text, m::text, u::text, (select count(*) from pulse.operations))
        from pulse.organizations o join pulse.billing_states b using (org_id) join pulse.memberships m using (org_id) join pulse.users u using (user_id) where org_id = $1
        """, org);
}
