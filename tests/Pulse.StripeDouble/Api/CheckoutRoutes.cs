using Pulse.StripeDouble.State;

namespace Pulse.StripeDouble.Api;

static class CheckoutRoutes
{
    public static void MapCheckout(this StripeApi api)
    {
        api.Get("/v1/checkout/sessions", $"customer subscription status created {Page.Allowed}", call =>
        {
            var (subscription, status, created) = (call.Parameters.Text("subscription"), call.Parameters.Text("status"), call.Parameters.Range("created"));
            return Page.Of(call, "checkout.session", call.Account.Sessions, call.Listed(), session => (subscription is null || session.SubscriptionId == subscription)
                && (status is null || session.Status == status) && created(session.Created));
        });
        api.Get("/v1/checkout/sessions/{id}", "", call => call.Account.Sessions.Get(call.Id, "checkout.session").ToJson(call.View));
        api.Post("/v1/checkout/sessions/{id}/expire", "", call => call.Account.ExpireCheckout(call.Id).ToJson(call.View));
        api.Post("/v1/checkout/sessions", "mode customer customer_email client_reference_id metadata subscription_data line_items success_url cancel_url", call =>
        {
            var (account, parameters) = (call.Account, call.Parameters);
            if (parameters.Required("mode") != "subscription")
                throw StripeException.Invalid("The double sells subscriptions only.", "mode");
            var prices = parameters.Each("line_items", "price");
            if (prices.Count == 0)
                throw StripeException.Invalid("Missing required param: line_items.", "line_items", "parameter_missing");
            foreach (var price in prices)
                account.Prices.Get(price, "price", "line_items[0][price]");

            return account.OpenCheckout(new CheckoutSession
            {
                Id = account.NewId("cs_test_"),
                Created = account.Now,
                CustomerId = parameters.Text("customer") is { } customer ? account.Alive(customer).Id : null,
                Email = parameters.Text("customer_email"),
                ClientReferenceId = parameters.Text("client_reference_id"),
                Metadata = parameters.Map("metadata") ?? [],
                SubscriptionMetadata = parameters.Map("subscription_data[metadata]") ?? [],
                TrialDays = (int?)parameters.Number("subscription_data[trial_period_days]"),
                PriceIds = prices,
                SuccessUrl = parameters.Text("success_url"),
            }).ToJson(call.View);
        });
    }
}
