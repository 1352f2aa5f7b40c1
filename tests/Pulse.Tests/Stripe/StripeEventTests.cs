using System.Text;
using Pulse.Ingress.Stripe;

namespace Pulse.Tests.Stripe;

public sealed class StripeEventTests
{
    [Fact]
    public void A_snapshot_event_is_read()
    {
        var received = Parse("""{"id":"evt_1","object":"event","api_version":"2025-03-31.basil","created":1760000000,"type":"invoice.paid","livemode":true,"data":{"object":{"id":"in_1","type":"other","created":1}}}""")!;

        Assert.Equal(("evt_1", "evt_1", "invoice.paid", "2025-03-31.basil", true), (received.Id, received.EffectId, received.Type, received.ApiVersion, received.Livemode));
        Assert.Equal(new DateTime(2025, 10, 9, 8, 53, 20, DateTimeKind.Utc), received.CreatedAt);
    }

    [Fact]
    public void A_thin_event_counts_under_the_snapshot_event_that_it_stands_beside()
    {
        var received = Parse("""{"id":"evt_2","object":"v2.core.event","type":"v1.invoice.paid","created":"2025-10-09T08:53:20.123Z","livemode":false,"snapshot_event":"evt_1","related_object":{"id":"in_1","type":"invoice"}}""")!;

        Assert.Equal(("evt_2", "evt_1", "v1.invoice.paid"), (received.Id, received.EffectId, received.Type));
        Assert.Equal(123, received.CreatedAt!.Value.Millisecond);
        Assert.Equal(DateTimeKind.Utc, received.CreatedAt.Value.Kind);
    }

    [Fact]
    public void What_is_not_needed_may_be_anything()
    {
        foreach (var rest in (string[])["", ""","created":null,"livemode":null,"api_version":null,"snapshot_event":null""", ""","created":1e300,"livemode":"yes","api_version":{},"snapshot_event":7""",
            ""","created":-1,"api_version":"a\u0000b","snapshot_event":"" """, ""","created":99999999999999,"object":[]""", ""","created":"0000","snapshot_event":"\ud800" """])
        {
            var received = Parse($$"""{"id":"evt_1","type":"ping"{{rest}}}""")!;

            Assert.Equal(("evt_1", null, null, null), (received.EffectId, received.CreatedAt, received.Livemode, received.ApiVersion));
        }
    }

    [Theory]
    [InlineData("")]
    [InlineData("null")]
    [InlineData("[]")]
    [InlineData("{")]
    [InlineData("{}")]
    [InlineData("{\"id\":\"evt_1\"}")]
    [InlineData("{\"type\":\"ping\"}")]
    [InlineData("{\"id\":7,\"type\":\"ping\"}")]
    [InlineData("{\"id\":\"\",\"type\":\"ping\"}")]
    [InlineData("{\"id\":\"evt\\u0000\",\"type\":\"ping\"}")]
    [InlineData("{\"id\":\"evt\\ud800\",\"type\":\"ping\"}")]
    [InlineData("{\"id\":\"évt\",\"type\":\"ping\"}")]
    [InlineData("{\"id\":\"evt 1\",\"type\":\"ping\"}")]
    [InlineData("{\"id\":\"evt_1\",\"type\":null}")]
    [InlineData("{\"id\":\"evt_1\",\"type\":\"ping\"}{}")]
    [InlineData("{\"id\":\"evt_1\",\"type\":\"ping\",}")]
    [InlineData("{\"id\":\"evt_1\",\"type\":\"ping\"")]
    [InlineData("{\"data\":{\"id\":\"evt_1\",\"type\":\"ping\"}}")]
    public void What_has_no_id_and_type_is_no_event(string body) => Assert.Null(Parse(body));

    [Fact]
    public void An_id_without_end_is_none() => Assert.Null(Parse($$"""{"id":"{{new string('x', 256)}}","type":"ping"}"""));

    static StripeEvent? Parse(string body) => StripeEvent.Parse(Encoding.UTF8.GetBytes(body));
}
