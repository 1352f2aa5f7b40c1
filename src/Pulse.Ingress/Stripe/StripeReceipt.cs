using System.Text.Json.Serialization;

namespace Pulse.Ingress.Stripe;

/// <summary>The answer to an event that is stored.</summary>
/// <param name="Received">Always true: Stripe needs no more than the status.</param>
/// <param name="Status">accepted, or duplicate when it was stored before.</param>
sealed record StripeReceipt(bool Received, string Status)
{
    public static StripeReceipt Accepted { get; } = new(true, "accepted");
    public static StripeReceipt Duplicate { get; } = new(true, "duplicate");
}

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower)]
[JsonSerializable(typeof(StripeReceipt))]
sealed partial class StripeJson : JsonSerializerContext;
