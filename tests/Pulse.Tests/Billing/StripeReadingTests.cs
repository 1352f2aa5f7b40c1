using System.Text;
using System.Text.Json;
using FsCheck;
using FsCheck.Fluent;
using Pulse.Worker.Billing;
using Pulse.Worker.Billing.Stripe;

namespace Pulse.Tests.Billing;

/// <summary>What Stripe writes is read tolerantly: both generations, and whatever else it may become.</summary>
public sealed class StripeReadingTests
{
    [Theory]
    [InlineData("""{"id":"sub_1","status":"active","current_period_start":100,"current_period_end":200,"items":{"data":[{"price":{"id":"price_1","lookup_key":"k","product":"prod_1"}}]}}""")]
    [InlineData("""{"id":"sub_1","status":"active","items":{"data":[{"current_period_start":100,"current_period_end":200,"price":{"id":"price_1","lookup_key":"k","product":{"id":"prod_1"}}}]}}""")]
    public void A_subscription_of_either_generation_is_the_same(string json)
    {
        var subscription = StripeJson.Subscription(Parse(json))!;
        Assert.Equal((100, 200), (subscription.CurrentPeriodStart!.Value.ToUnixTimeSeconds(), subscription.CurrentPeriodEnd!.Value.ToUnixTimeSeconds()));
        Assert.Equal(new StripePrice { Id = "price_1", LookupKey = "k", ProductId = "prod_1" }, Assert.Single(subscription.Prices));
    }

    [Theory]
    [InlineData("""{"id":"in_1","status":"open","subscription":"sub_1","status_transitions":{"finalized_at":5}}""")]
    [InlineData("""{"id":"in_1","status":"open","parent":{"subscription_details":{"subscription":"sub_1"}},"status_transitions":{"finalized_at":5}}""")]
    public void An_invoice_of_either_generation_is_the_same(string json)
    {
        var invoice = StripeJson.Invoice(Parse(json))!;
        Assert.Equal(("sub_1", 5L), (invoice.SubscriptionId, invoice.FinalizedAt!.Value.ToUnixTimeSeconds()));
    }

    [Fact]
    public void An_invoice_that_is_not_open_is_none() => Assert.Null(StripeJson.Invoice(Parse("""{"id":"in_1","status":"paid"}""")));

    [Fact]
    public void Nothing_that_a_field_may_become_is_an_exception()
    {
        string[] values = ["null", "1", "-1", "1e400", "true", "[]", "{}", "[{}]", "\"x\"", "\"\\u0000\"", "\"\\ud800\"", "99999999999999999999", "{\"id\":7}", "{\"data\":[null]}", "{\"data\":{}}"];
        string[] fields = ["id", "status", "items", "created", "trial_end", "pause_collection", "status_details", "metadata", "cancel_at_period_end", "parent", "status_transitions",
            "customer", "charge", "data", "object", "type", "related_object", "due_date", "price", "plan", "livemode"];
        var json = from pairs in Gen.ArrayOf(from field in Gen.Elements(fields) from value in Gen.Elements(values) select $"\"{field}\":{value}", 8)
                   select "{\"id\":\"x\"," + string.Join(',', pairs) + "}";
        foreach (var text in json.Sample(3000, 20))
        {
            var element = Parse(text);
            StripeJson.Subscription(element);
            StripeJson.Invoice(element);
            StripeJson.Event(element);
            StripeEventRules.Of(element);
            foreach (var type in new[] { "customer.updated", "v1.charge.refunded", "price.updated" })
            {
                StripeEventRules.Subject(type, Encoding.UTF8.GetBytes(text));
                StripeEventRules.Subject(type, Encoding.UTF8.GetBytes($$$"""{"data":{"object":{{{text}}}}}"""));
            }
        }
    }

    [Theory]
    [InlineData("customer.subscription.updated", """{"data":{"object":{"object":"subscription","id":"sub_1","customer":"cus_1"}}}""", "cus_1")]
    [InlineData("customer.subscription.updated", """{"data":{"object":{"object":"subscription","id":"sub_1","customer":{"id":"cus_1"}}}}""", "cus_1")]
    [InlineData("customer.deleted", """{"data":{"object":{"object":"customer","id":"cus_1"}}}""", "cus_1")]
    [InlineData("v1.customer.updated", """{"related_object":{"id":"cus_1","type":"customer","url":"http://elsewhere/"}}""", "cus_1")]
    [InlineData("v1.invoice.paid", """{"related_object":{"id":"in_1","type":"invoice","url":"http://elsewhere/"}}""", "/v1/invoices/in_1")]
    [InlineData("v1.invoice.paid", """{"related_object":{"id":"../x?y","type":"invoice"}}""", "/v1/invoices/..%2Fx%3Fy")]
    [InlineData("v1.entitlements.active_entitlement_summary.updated", """{"related_object":null,"snapshot_event":"evt_1"}""", "/v1/events/evt_1")]
    [InlineData("charge.dispute.created", """{"data":{"object":{"object":"dispute","id":"dp_1","charge":"ch_1"}}}""", "/v1/charges/ch_1")]
    [InlineData("refund.created", """{"data":{"object":{"object":"refund","id":"re_1","charge":null,"payment_intent":"pi_1"}}}""", "/v1/payment_intents/pi_1")]
    [InlineData("product.updated", """{"data":{"object":{"object":"product","id":"prod_1"}}}""", "prod_1")]
    [InlineData("checkout.session.completed", """{"data":{"object":{"object":"checkout.session","id":"cs_1","customer":null}}}""", "no_customer")]
    [InlineData("invoice.upcoming", """{"data":{"object":{"customer":"cus_1"}}}""", "ignored")]
    [InlineData("customer.updated", "not json", "ignored")]
    public void An_event_is_about(string type, string body, string about)
    {
        Assert.Equal(about, StripeEventRules.Subject(type, Encoding.UTF8.GetBytes(body)) switch
        {
            EventSubject.Customer customer => customer.Id,
            EventSubject.Related related => related.Path,
            EventSubject.Sold sold => sold.Id,
            EventSubject.Nothing nothing => nothing.Why,
            _ => "?",
        });
    }

    [Fact]
    public void Types_are_counted_under_a_closed_set()
    {
        Assert.Equal("invoice.paid", StripeEventRules.Label("v1.invoice.paid"));
        Assert.Equal("other", StripeEventRules.Label("made.up"));
    }

    [Fact]
    public void Backoff_grows_to_its_bound_and_is_never_below_what_Stripe_asks_for()
    {
        var options = new SyncOptions();
        foreach (var failures in Gen.Choose(1, 100).Sample(200, 10))
        {
            var chance = Random.Shared.NextDouble();
            Assert.InRange(SyncRules.Backoff(failures, null, chance, options), options.BackoffLeast / 2, options.BackoffMost);
            Assert.InRange(SyncRules.Backoff(failures, TimeSpan.FromMinutes(10), chance, options), TimeSpan.FromMinutes(10), TimeSpan.FromMinutes(12.5));
            Assert.InRange(SyncRules.Backoff(failures, TimeSpan.FromDays(10), chance, options), TimeSpan.Zero, options.RetryAfterMost * 1.25);
        }
    }

    [Fact]
    public void Links_are_by_one_organization_or_not_at_all()
    {
        var (a, b) = (Guid.CreateVersion7().ToString(), Guid.CreateVersion7().ToString());
        Assert.Equal(default, SyncRules.Decide(new LinkClaims([], ["cart-17"])));
        Assert.Equal((Guid.Parse(a), "metadata"), (SyncRules.Decide(new LinkClaims([a, a.ToUpperInvariant()], [a])) is var link ? (link.OrgId!.Value, link.By!) : default));
        Assert.Equal("client_reference_id", SyncRules.Decide(new LinkClaims([], [b])).By);
        Assert.NotNull(SyncRules.Decide(new LinkClaims([a], [b])).Conflict);
        Assert.NotNull(SyncRules.Decide(new LinkClaims(["default"], [])).Conflict);
    }

    static JsonElement Parse(string json) => JsonDocument.Parse(json).RootElement;
}
