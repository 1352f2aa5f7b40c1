using System.Net;
using System.Text;
using System.Text.Json.Nodes;
using Pulse.StripeDouble;
using Pulse.StripeDouble.State;
using Pulse.StripeDouble.Webhooks;
using Pulse.Tests.Signups;

namespace Pulse.Tests.StripeDouble;

/// <summary>Stripe's own package takes what the double signs, and the webhook endpoint takes what Stripe's package signs.</summary>
public sealed class SignatureTests(TestPostgres postgres) : IngressTests(postgres)
{
    const string Secret = "whsec_oracle";

    [Fact]
    public async Task What_the_double_signs_Stripe_s_package_takes()
    {
        await using var stripe = await StripeServer.StartAsync(new StripeOptions { Clock = Clock });
        stripe.Account.CreateCustomer("ünïcode@example.com", "名前 🙂 \"quoted\" \\ and a\nline");
        stripe.Account.CompleteCheckout(stripe.Account.OpenCheckout("price_pro", clientReferenceId: "o-1").Id);

        var events = stripe.Account.History();
        var signed = events.Select(made => stripe.Webhooks.Sign(made, Secret)).Concat(events.Select(made => stripe.Webhooks.Sign(made, Secret, thin: true))).ToList();
        var ids = events.Select(made => (string?)made.Id).ToList();
        var posts = signed.Select(one => (one.Text, one.Header)).ToList();

        // Thin events are signed alike, but unpacked elsewhere: of those the headers are compared.
        var taken = await SignatureOracle.VerifyAsync(Secret, Clock.GetUtcNow(), posts);
        Assert.Equal(ids, taken[..events.Count]);
        Assert.Equal(posts.Select(post => post.Header), await SignatureOracle.SignAsync(Secret, Clock.GetUtcNow(), posts.Select(post => post.Text)));

        Assert.All(await SignatureOracle.VerifyAsync("whsec_other", Clock.GetUtcNow(), posts), Assert.Null);
        Assert.All(await SignatureOracle.VerifyAsync(Secret, Clock.GetUtcNow(), posts.Select(post => (post.Text + " ", post.Header))), Assert.Null);
        Assert.All(await SignatureOracle.VerifyAsync(Secret, Clock.GetUtcNow() + TimeSpan.FromSeconds(301), posts), Assert.Null);
    }

    [Fact]
    public async Task While_a_secret_is_rolled_either_verifies()
    {
        const string body = """{"id":"evt_1","object":"event"}""";
        var header = Signature.Header(Encoding.UTF8.GetBytes(body), Clock.GetUtcNow(), ["whsec_new", "whsec_old"]);
        foreach (var secret in new[] { "whsec_new", "whsec_old" })
            Assert.Equal(["evt_1"], await SignatureOracle.VerifyAsync(secret, Clock.GetUtcNow(), [(body, header)]));
    }

    [Fact]
    public async Task What_Stripe_s_package_signs_the_webhook_endpoint_takes()
    {
        await using var ingress = await StartAsync($"PULSE_STRIPE_WEBHOOK_SECRET=whsec_other,{Secret}");
        using var account = new Account(new StripeOptions { Clock = Clock });
        account.Subscribe(account.CreateCustomer("ünïcode@example.com", "名前 🙂").Id, "price_pro");
        var bodies = account.History().Select(made => made.Snapshot().ToJsonString()).ToList();
        var headers = await SignatureOracle.SignAsync(Secret, Clock.GetUtcNow(), bodies);

        foreach (var (body, header) in bodies.Zip(headers))
        {
            Assert.Equal(HttpStatusCode.OK, await PostAsync(body, header));
            Assert.Equal(HttpStatusCode.BadRequest, await PostAsync(body.Replace("evt_", "evt-", StringComparison.Ordinal), header));
            Assert.Equal(1L, await Postgres.AskAsync<long>("select count(*) from pulse.stripe_events where event_id = $1", (string)JsonNode.Parse(body)!["id"]!));
        }

        async Task<HttpStatusCode> PostAsync(string body, string header)
        {
            using var request = new HttpRequestMessage(HttpMethod.Post, "/api/webhooks/stripe") { Content = new StringContent(body, Encoding.UTF8, "application/json") };
            request.Headers.TryAddWithoutValidation("Stripe-Signature", header);
            return (await ingress.Http.SendAsync(request)).StatusCode;
        }
    }
}
