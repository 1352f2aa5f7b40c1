namespace Pulse.StripeDouble.Api;

static class InvoiceRoutes
{
    public static void MapInvoices(this StripeApi api)
    {
        api.Get("/v1/invoices", $"customer status subscription created due_date collection_method {Page.Allowed}", call =>
        {
            var (status, subscription, created) = (call.Parameters.Text("status"), call.Parameters.Text("subscription"), call.Parameters.Range("created"));
            if (status is not (null or "draft" or "open" or "paid" or "uncollectible" or "void"))
                throw StripeException.Invalid($"Invalid status: must be one of draft, open, paid, uncollectible, or void", "status");

            return Page.Of(call, "invoice", call.Account.Invoices, call.Listed(), invoice => (status is null || invoice.Status == status)
                && (subscription is null || invoice.SubscriptionId == subscription) && created(invoice.Created));
        });
        api.Get("/v1/invoices/{id}", "", call => call.Account.Invoices.Get(call.Id, "invoice").ToJson(call.View));
        api.Post("/v1/invoices/{id}/pay", "", call =>
        {
            call.Account.Pay(call.Account.Invoices.Get(call.Id, "invoice").SubscriptionId);
            return call.Account.Invoices.Get(call.Id, "invoice").ToJson(call.View);
        });
        api.Post("/v1/invoices/{id}/void", "", call => call.Account.VoidInvoice(call.Id).ToJson(call.View));
        api.Post("/v1/invoices/{id}/mark_uncollectible", "", call => call.Account.MarkUncollectible(call.Id).ToJson(call.View));
    }
}
