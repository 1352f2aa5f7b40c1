namespace Pulse.StripeDouble;

/// <summary>How a double of Stripe is set up.</summary>
public sealed record StripeOptions
{
    /// <summary>Where it listens. Port 0: a free one.</summary>
    public Uri Url { get; init; } = new("http://127.0.0.1:0");

    /// <summary>What a request to the API must bring.</summary>
    public string ApiKey { get; init; } = "sk_test_double";

    /// <summary>The account's default version: of answers to requests that name none, and of events.</summary>
    public string ApiVersion { get; init; } = "2026-10-28.endive";

    /// <summary>Which generation of objects the API answers with: by the version asked for, unless it is set.</summary>
    public ApiGeneration Generation { get; init; } = ApiGeneration.ByVersion;

    /// <summary>Whether it says that its objects are live.</summary>
    public bool Livemode { get; init; }

    /// <summary>Where events are delivered. None: they wait to be asked for.</summary>
    public IReadOnlyList<WebhookEndpoint> Endpoints { get; init; } = [];

    /// <summary>Whether an event is delivered by itself, or only when a test says so.</summary>
    public bool DeliversByItself { get; init; } = true;

    /// <summary>How many deliveries may be under way at a time. 1 keeps their order while the endpoint takes them.</summary>
    public int Concurrency { get; init; } = 4;

    /// <summary>How often a delivery is tried.</summary>
    public int MaxAttempts { get; init; } = 8;

    /// <summary>The wait before the second try of a delivery; it doubles, up to 10 s.</summary>
    public TimeSpan FirstBackoff { get; init; } = TimeSpan.FromMilliseconds(200);

    /// <summary>The clock that it goes by; <see cref="State.Account.Advance"/> moves on from there.</summary>
    public TimeProvider Clock { get; init; } = TimeProvider.System;

    /// <summary>Prices, by id, with their lookup keys, that are there from the beginning, without an event.</summary>
    public IReadOnlyDictionary<string, string> Prices { get; init; } = new Dictionary<string, string>();

    /// <summary>Makes ids and faults repeatable.</summary>
    public int? Seed { get; init; }

    /// <summary>A file that its state is kept in from one start to the next. Nothing: it forgets.</summary>
    public string? Journal { get; init; }
}

/// <summary>The two generations of Stripe's billing objects.</summary>
public enum ApiGeneration
{
    /// <summary>As real Stripe does: by the version of the request, else of the account.</summary>
    ByVersion,

    /// <summary>Before 2025-03-31: a subscription has the period, an invoice names its subscription.</summary>
    Older,

    /// <summary>From 2025-03-31 on: items have the period, an invoice's parent names the subscription.</summary>
    Basil,
}

/// <summary>A webhook endpoint as it is registered at Stripe.</summary>
/// <param name="Url">Where events are posted.</param>
/// <param name="Secrets">What they are signed with: several while a secret is being rolled.</param>
public sealed record WebhookEndpoint(Uri Url, params string[] Secrets)
{
    /// <summary>Snapshot events, thin ones, or both.</summary>
    public EventPayload Payload { get; init; } = EventPayload.Snapshot;
}

/// <summary>What is posted of an event.</summary>
public enum EventPayload
{
    /// <summary><c>object: "event"</c>, with the object as it was then.</summary>
    Snapshot,

    /// <summary><c>object: "v2.core.event"</c>, which only names the object.</summary>
    Thin,

    /// <summary>Each event twice; the thin twin names the snapshot.</summary>
    Both,
}
