namespace Pulse.Contracts.Billing;

/// <summary>Something may have changed at Stripe: fetch the customer, unless a fetch that began later is stored already.</summary>
public sealed record SyncStripeCustomer
{
    /// <summary>Stripe's id of the customer.</summary>
    public required string CustomerId { get; init; }
}
