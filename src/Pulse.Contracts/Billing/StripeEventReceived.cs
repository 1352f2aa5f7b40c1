namespace Pulse.Contracts.Billing;

/// <summary>An event of Stripe was verified and is stored. What it says stays in the <c>pulse.stripe_events</c> row.</summary>
public sealed record StripeEventReceived
{
    /// <summary>Stripe's id of it: the row's key.</summary>
    public required string EventId { get; init; }

    /// <summary>When ingress stored it, UTC.</summary>
    public required DateTimeOffset ReceivedAt { get; init; }
}
