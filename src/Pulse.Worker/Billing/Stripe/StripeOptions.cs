using Pulse.Hosting;

namespace Pulse.Worker.Billing.Stripe;

/// <summary>Where Stripe is, and how it is asked. A class and no record: nothing may print its key.</summary>
sealed class StripeOptions
{
    /// <summary>The API version that every request names, whatever the account's default is.</summary>
    public const string Version = "2026-10-28.endive";

    public required Uri Base { get; init; }

    /// <summary>The secret or restricted key; null: Pulse does not ask Stripe.</summary>
    public required string? Key { get; init; }

    /// <summary>Requests a second to each endpoint, all workers together. Stripe's cap is 25.</summary>
    public required int RatePerSecond { get; init; }

    /// <summary>How long one request may take.</summary>
    public TimeSpan Timeout { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>How long a request may wait for its turn. Beyond it, the work is put off instead.</summary>
    public TimeSpan LongestTurn { get; init; } = TimeSpan.FromSeconds(2);

    /// <summary>Whether the key is of live mode; null when it doesn't tell.</summary>
    public bool? Livemode => Key is null ? null
        : Key.StartsWith("sk_live_", StringComparison.Ordinal) || Key.StartsWith("rk_live_", StringComparison.Ordinal) ? true
        : Key.StartsWith("sk_test_", StringComparison.Ordinal) || Key.StartsWith("rk_test_", StringComparison.Ordinal) ? false
        : null;

    public static StripeOptions Read(Settings settings)
    {
        const string address = "PULSE_STRIPE_API_BASE";
        var options = new StripeOptions
        {
            Base = settings.Url(address, "https://api.stripe.com"),
            Key = settings.Optional("PULSE_STRIPE_API_KEY"),
            RatePerSecond = settings.Number("PULSE_STRIPE_RATE_PER_SECOND", otherwise: 15, least: 1, most: 10_000),
        };
        if (options.Key is { } key && key.Any(letter => letter is <= ' ' or > '~'))
            settings.Mistake("PULSE_STRIPE_API_KEY", "has characters that no key has.");
        if (options is { Livemode: true, Base.Scheme: "http" })
            settings.Mistake(address, "is http, and PULSE_STRIPE_API_KEY is a live key: it would cross the network in the clear. Use https.");
        return options;
    }
}
