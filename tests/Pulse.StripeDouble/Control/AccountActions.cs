using System.Text.Json.Nodes;
using Pulse.StripeDouble.State;

namespace Pulse.StripeDouble.Control;

/// <summary>What can happen to the account.</summary>
static class AccountActions
{
    public static IReadOnlyList<ControlAction> All { get; } =
    [
        On("customers/create", "email? name? org_id? metadata?", "Makes a customer; org_id becomes metadata.org_id.",
            (a, b) => a.CreateCustomer(b.Text("email"), b.Text("name"), b.Map("metadata"), b.Text("org_id"))),
        On("customers/update", "id email? name? metadata?", "Changes it; metadata is merged.",
            (a, b) => a.UpdateCustomer(b.Required("id"), b.Text("email"), b.Text("name"), b.Map("metadata"))),
        On("customers/delete", "id", "Deletes it: its subscriptions end.",
            (a, b) => a.DeleteCustomer(b.Required("id"))),

        On("checkout/open", "price client_reference_id? customer? email? org_id? trial_days? metadata?", "Opens a Checkout page; org_id becomes the subscription's metadata.org_id.",
            (a, b) => a.OpenCheckout(b.Required("price"), b.Text("client_reference_id"), b.Text("customer"), b.Text("email"), b.Text("org_id"), b.Number("trial_days"), b.Map("metadata"))),
        On("checkout/complete", "id slow_payment?", "The page is filled in: customer and subscription are there. A slow payment waits for checkout/settle.",
            (a, b) => a.CompleteCheckout(b.Required("id"), b.Flag("slow_payment") ?? false)),
        On("checkout/settle", "id paid", "A slow payment went through, or didn't.",
            (a, b) => a.SettleCheckout(b.Required("id"), b.Flag("paid") ?? true)),
        On("checkout/expire", "id", "Nobody filled in the page.",
            (a, b) => a.ExpireCheckout(b.Required("id"))),

        On("subscriptions/create", "customer price status? trial_days? org_id? metadata? without_payment_method?", "A new subscription in any status, reached the way it is at Stripe. Several may belong to one customer.",
            (a, b) => a.Subscribe(b.Required("customer"), b.Required("price"), b.Text("status"), b.Number("trial_days"), b.Text("org_id"), b.Map("metadata"), b.Text("without_payment_method") ?? "create_invoice")),
        On("subscriptions/end_trial", "id", "The trial ends now.", (a, b) => a.EndTrial(b.Required("id"))),
        On("subscriptions/trial_will_end", "id", "trial_will_end is said now.", (a, b) => a.SayTrialWillEnd(b.Required("id"))),
        On("subscriptions/fail_payment", "id", "A period begins and its payment fails: an open invoice, past_due.", (a, b) => a.FailPayment(b.Required("id"))),
        On("subscriptions/pay", "id", "What is owed is paid: active.", (a, b) => a.Pay(b.Required("id"))),
        On("subscriptions/set_pays", "id pays", "Whether payments to come go through.", (a, b) => a.SetPays(b.Required("id"), b.Flag("pays") ?? true)),
        On("subscriptions/unpaid", "id", "Stripe gives up to collect.", (a, b) => a.MarkUnpaid(b.Required("id"))),
        On("subscriptions/pause_collection", "id behavior? resumes_at?", "behavior: void, keep_as_draft, mark_uncollectible.", (a, b) => a.PauseCollection(b.Required("id"), b.Text("behavior") ?? "void", b.Time("resumes_at"))),
        On("subscriptions/resume_collection", "id", "Payments are collected again.", (a, b) => a.ResumeCollection(b.Required("id"))),
        On("subscriptions/pause", "id reason?", "Status paused, with its reason in status_details.", (a, b) => a.Pause(b.Required("id"), b.Text("reason") ?? "pause_requested")),
        On("subscriptions/resume", "id", "Active again.", (a, b) => a.Resume(b.Required("id"))),
        On("subscriptions/cancel", "id", "It ends now.", (a, b) => a.Cancel(b.Required("id"))),
        On("subscriptions/cancel_at_period_end", "id cancel?", "It ends with its period; cancel false: it doesn't.", (a, b) => a.CancelAtPeriodEnd(b.Required("id"), b.Flag("cancel") ?? true)),
        On("subscriptions/cancel_at", "id at?", "It ends at a time (unix seconds), or at none.", (a, b) => a.CancelAt(b.Required("id"), b.Time("at"))),
        On("subscriptions/change_price", "id prices", "Its items are these prices from now on.", (a, b) => a.ChangePrice(b.Required("id"), b.Texts("prices") ?? [])),
        On("subscriptions/set_status", "id status", "Any status, also one that nobody has heard of.", (a, b) => a.SetStatus(b.Required("id"), b.Required("status"))),
        On("subscriptions/metadata", "id metadata", "Merges metadata.", (a, b) => a.UpdateSubscription(b.Required("id"), b.Map("metadata") ?? new Dictionary<string, string>())),

        On("invoices/send", "subscription due_in_seconds", "An invoice to be paid by hand.", (a, b) => a.SendInvoice(b.Required("subscription"), b.Seconds("due_in_seconds") ?? TimeSpan.FromDays(30))),
        On("invoices/overdue", "id", "It was not paid when it was due: past_due.", (a, b) => a.Overdue(b.Required("id"))),
        On("invoices/void", "id", "Nobody owes it.", (a, b) => a.VoidInvoice(b.Required("id"))),
        On("invoices/mark_uncollectible", "id", "It is written off.", (a, b) => a.MarkUncollectible(b.Required("id"))),

        new("entitlements/set", "customer features", "Entitles a customer to exactly these features.", (server, b) =>
            Task.FromResult<JsonNode?>(new JsonArray([.. server.Account.SetEntitlements(b.Required("customer"), b.Texts("features") ?? []).Select(entitlement => (JsonNode)entitlement.LookupKey)]))),

        On("refunds/create", "charge? customer? amount?", "Gives back a payment, by its charge, or the customer's last one.", (a, b) => a.Refund(b.Text("charge") ?? a.LastCharge(b.Required("customer")).Id, b.Number("amount"))),
        On("refunds/fail", "id", "The bank would not take it.", (a, b) => a.FailRefund(b.Required("id"))),
        On("disputes/create", "charge? customer?", "The bank questions a payment.", (a, b) => a.Dispute(b.Text("charge") ?? a.LastCharge(b.Required("customer")).Id)),
        On("disputes/close", "id won", "The bank has decided.", (a, b) => a.CloseDispute(b.Required("id"), b.Flag("won") ?? false)),

        On("prices/add", "id lookup_key? unit_amount? product?", "A monthly price.", (a, b) => a.AddPrice(b.Required("id"), b.Text("lookup_key"), b.Number("unit_amount") ?? 2900, b.Text("product"))),
        On("prices/update", "id lookup_key? active?", "Changes it for every subscription that has it.", (a, b) => a.UpdatePrice(b.Required("id"), b.Text("lookup_key"), b.Flag("active"))),
        On("products/update", "id name? active?", "Changes a product.", (a, b) => a.UpdateProduct(b.Required("id"), b.Text("name"), b.Flag("active"))),

        new("clock/advance", "seconds", "Moves its clock; whatever is due until then happens.", (server, b) =>
        {
            server.Account.Advance(b.Seconds("seconds") ?? TimeSpan.Zero);
            return Task.FromResult<JsonNode?>(View.Seconds(server.Account.Now));
        }),
    ];

    static ControlAction On(string name, string takes, string does, Func<Account, ControlBody, Resource> carry) => new(name, takes, does, (server, body) =>
    {
        var changed = carry(server.Account, body);
        return Task.FromResult<JsonNode?>(server.Account.Show(changed));
    });
}
