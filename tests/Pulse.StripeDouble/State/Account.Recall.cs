
namespace Pulse.StripeDouble.State;

public sealed partial class Account : IDisposable
{
    /// <summary>Puts back what a journal remembers.</summary>
    void Recall(Resource resource)
    {
        _sequence = Math.Max(_sequence, resource.Sequence);
        switch (resource)
        {
            case Customer customer: Customers.Put(customer); break;
            case Product product: Products.Put(product); break;
            case Price price: Prices.Put(price); break;
            case Subscription subscription: Subscriptions.Put(subscription); break;
            case Invoice invoice: Invoices.Put(invoice); break;
            case Charge charge: Charges.Put(charge); break;
            case Refund refund: Refunds.Put(refund); break;
            case Dispute dispute: Disputes.Put(dispute); break;
            case CheckoutSession session: Sessions.Put(session); break;
            case ActiveEntitlement entitlement: ActiveEntitlements.Put(entitlement); break;
            case StripeEvent stripeEvent: Events.Put(stripeEvent); break;
        }
    }

    void Forget(string kind, string id)
    {
        switch (kind)
        {
            case nameof(State.ActiveEntitlement): Strike(ActiveEntitlements); break;
            case nameof(CheckoutSession): Strike(Sessions); break;
            case nameof(State.Customer): Strike(Customers); break;
            case nameof(State.Subscription): Strike(Subscriptions); break;
            case nameof(State.Invoice): Strike(Invoices); break;
            case nameof(Charge): Strike(Charges); break;
            case nameof(State.Refund): Strike(Refunds); break;
            case nameof(State.Dispute): Strike(Disputes); break;
            case nameof(StripeEvent): Strike(Events); break;
        }

        void Strike<T>(Shelf<T> shelf) where T : Resource
        {
            if (shelf.Find(id) is { } resource)
                shelf.Remove(resource);
        }
    }

    /// <summary>Closes its journal.</summary>
    public void Dispose() => _journal?.Dispose();
}
