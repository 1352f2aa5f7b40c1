using System.Globalization;
using System.Text.Json.Nodes;

namespace Pulse.StripeDouble.State;

/// <summary>An event, with its object as it was then. It never changes but for whether it arrived.</summary>
public sealed record StripeEvent : Resource
{
    public required string Type { get; init; }

    /// <summary>The id of its thin twin.</summary>
    public required string ThinId { get; init; }
    public required string ApiVersion { get; init; }
    public bool Livemode { get; init; }
    public string? CustomerId { get; init; }

    /// <summary>The JSON of <c>data.object</c>.</summary>
    public required string Data { get; init; }

    /// <summary>The JSON of <c>data.previous_attributes</c>.</summary>
    public string? Previous { get; init; }
    public string? RequestId { get; init; }
    public string? IdempotencyKey { get; init; }

    /// <summary>Every endpoint has taken it.</summary>
    public bool Delivered { get; init; }

    internal override JsonObject ToJson(View view) => Snapshot();

    /// <summary>As <c>object: "event"</c>.</summary>
    internal JsonObject Snapshot()
    {
        var data = new JsonObject { ["object"] = JsonNode.Parse(Data) };
        if (Previous is not null)
            data["previous_attributes"] = JsonNode.Parse(Previous);

        return new JsonObject
        {
            ["id"] = Id,
            ["object"] = "event",
            ["api_version"] = ApiVersion,
            ["created"] = View.Seconds(Created),
            ["data"] = data,
            ["livemode"] = Livemode,
            // Not the true count: a body that is posted again is the same, byte by byte.
            ["pending_webhooks"] = 1,
            ["request"] = new JsonObject { ["id"] = RequestId, ["idempotency_key"] = IdempotencyKey },
            ["type"] = Type,
        };
    }

    /// <summary>As <c>object: "v2.core.event"</c>: it names the object, and the snapshot event that it is the twin of.</summary>
    internal JsonObject Thin()
    {
        var about = JsonNode.Parse(Data)!;
        var kind = (string)about["object"]!;
        var id = (string?)about["id"];
        return new JsonObject
        {
            ["id"] = ThinId,
            ["object"] = "v2.core.event",
            ["type"] = $"v1.{Type}",
            ["livemode"] = Livemode,
            ["created"] = Created.UtcDateTime.ToString("yyyy-MM-dd'T'HH:mm:ss.fff'Z'", CultureInfo.InvariantCulture),
            ["reason"] = RequestId is null ? null : new JsonObject
            {
                ["type"] = "request",
                ["request"] = new JsonObject { ["id"] = RequestId, ["idempotency_key"] = IdempotencyKey },
            },
            // The summary of a customer's entitlements has no id, so its thin event names nothing.
            ["related_object"] = id is null ? null : new JsonObject { ["id"] = id, ["type"] = kind, ["url"] = Path(kind, id) },
            ["snapshot_event"] = Id,
        };
    }

    static string Path(string kind, string id) => kind switch
    {
        "checkout.session" => $"/v1/checkout/sessions/{id}",
        _ => $"/v1/{kind}s/{id}",
    };

    /// <summary>What the attributes that have changed were before.</summary>
    internal static JsonObject Difference(JsonObject before, JsonObject now)
    {
        var difference = new JsonObject();
        foreach (var (name, value) in before)
        {
            if (!JsonNode.DeepEquals(value, now[name]))
                difference[name] = value?.DeepClone();
        }

        return difference;
    }
}

public sealed partial class Account
{
    /// <summary>Every event there was, the oldest first.</summary>
    public IReadOnlyList<StripeEvent> History() => Do(() => Events.Of(null).ToList());

    /// <summary>Every event of one customer, the oldest first.</summary>
    public IReadOnlyList<StripeEvent> History(string customerId) => Do(() => Events.Of(null).Where(made => made.CustomerId == customerId).ToList());

    /// <summary>One event.</summary>
    public StripeEvent Event(string id) => Do(() => Events.Get(id, "event"));

    internal void Arrived(string id) => Do(() => Events.Put(Events.Get(id, "event") with { Delivered = true }));
}
