using System.Net;
using Pulse.Ingress.Http;

namespace Pulse.Tests.Signups;

public sealed class ClientAddressTests(TestPostgres postgres) : IngressTests(postgres)
{
    [Fact]
    public async Task Without_trusted_proxies_X_Forwarded_For_is_ignored()
    {
        await using var ingress = await StartAsync("PULSE_TRUSTED_PROXIES=");
        for (var i = 0; i < 5; i++)
            await (await ingress.SignupAsync(Some.Signup, Some.Client)).SignupId();

        await (await ingress.SignupAsync(Some.Signup, Some.Client)).IsProblem(429, "rate_limited");
    }

    [Fact]
    public async Task A_proxy_that_is_not_trusted_is_the_client()
    {
        // Another database's worth of hits: this client is loopback again, so it gets a window of its own.
        Clock.Advance(TimeSpan.FromHours(2));
        await using var ingress = await StartAsync("PULSE_TRUSTED_PROXIES=10.1.0.0/16,fd00::/8");
        for (var i = 0; i < 5; i++)
            await (await ingress.SignupAsync(Some.Signup, Some.Client)).SignupId();

        await (await ingress.SignupAsync(Some.Signup, Some.Client)).IsProblem(429, "rate_limited");
    }

    [Fact]
    public async Task Behind_trusted_proxies_the_rightmost_stranger_is_the_client()
    {
        await using var ingress = await StartAsync("PULSE_TRUSTED_PROXIES=127.0.0.1,192.0.2.0/24");
        var client = Some.Client;
        // What a client writes itself stands to the left, and what our own hops add to the right.
        for (var i = 0; i < 5; i++)
            await (await ingress.SignupAsync(Some.Signup, $"{Some.Client}, {client}, 192.0.2.{i + 1}")).SignupId();

        await (await ingress.SignupAsync(Some.Signup, $"{Some.Client}, {client}, 192.0.2.9")).IsProblem(429, "rate_limited");
        await (await ingress.SignupAsync(Some.Signup, client)).IsProblem(429, "rate_limited");
        await (await ingress.SignupAsync(Some.Signup, $"{client}, {Some.Client}")).SignupId();
    }

    [Fact]
    public async Task Addresses_of_one_IPv6_network_count_as_one()
    {
        for (var i = 1; i <= 5; i++)
            await (await Ingress.SignupAsync(Some.Signup, $"2001:db8:1:2::{i:x}")).SignupId();

        await (await Ingress.SignupAsync(Some.Signup, "2001:db8:1:2:ffff::1")).IsProblem(429, "rate_limited");
        await (await Ingress.SignupAsync(Some.Signup, "2001:db8:1:3::1")).SignupId();
    }

    [Theory]
    [InlineData("nonsense")]
    [InlineData(",,,")]
    [InlineData("999.999.999.999")]
    [InlineData("\u00ff\u00fe, [::1")]
    [InlineData("1.2.3.4:99999999, ' or 1=1 --")]
    public async Task Nonsense_in_X_Forwarded_For_is_no_error(string header)
    {
        Clock.Advance(TimeSpan.FromHours(4));
        await (await Ingress.SignupAsync(Some.Signup, header)).SignupId();
    }

    [Theory]
    [InlineData("192.0.2.7", "192.0.2.7")]
    [InlineData("::ffff:192.0.2.7", "192.0.2.7")]
    [InlineData("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64")]
    [InlineData("fe80::1%3", "fe80::/64")]
    public void A_limit_counts_by(string address, string expected) =>
        Assert.Equal(expected, ClientAddress.ForLimits(IPAddress.Parse(address)));
}
