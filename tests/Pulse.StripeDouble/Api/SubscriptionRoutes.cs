using System.Text.Json.Nodes;
using Pulse.StripeDouble.State;

namespace Pulse.StripeDouble.Api;

static class SubscriptionRoutes
{
    public static void MapSubscriptions(this StripeApi api)
    {
        api.Get("/v1/subscriptions", $"customer status price created {Page.Allowed}", call =>
        {
            var (status, price, created) = (call.Parameters.Text("status"), call.Parameters.Text("price"), call.Parameters.Range("created"));
            return Page.Of(call, "subscription", call.Account.Subscriptions, call.Listed(), subscription => created(subscription.Created)
                && (price is null || subscription.Items.Any(item => item.PriceId == price))
                && status switch
                {
                    "all" => true,
                    // Who asks for none in particular gets those that have not ended.
                    null => !subscription.HasEnded,
                    "ended" => subscription.HasEnded,
                    _ => subscription.Status == status,
                });
        });

        api.Post("/v1/subscriptions", "customer items metadata trial_period_days trial_settings", call =>
        {
            var prices = call.Parameters.Each("items", "price");
            if (prices.Count == 0)
                throw StripeException.Invalid("Missing required param: items.", "items", "parameter_missing");
            foreach (var price in prices)
                call.Account.Prices.Get(price, "price", "items[0][price]");

            var subscription = call.Account.Subscribe(call.Account.Alive(call.Parameters.Required("customer")).Id, prices[0],
                trialDays: (int?)call.Parameters.Number("trial_period_days"), metadata: call.Parameters.Map("metadata"),
                withoutPaymentMethod: call.Parameters.Text("trial_settings[end_behavior][missing_payment_method]") ?? "create_invoice");
            return (prices.Count == 1 ? subscription : call.Account.ChangePrice(subscription.Id, prices)).ToJson(call.View);
        });

        api.Get("/v1/subscriptions/{id}", "", call => call.Account.Subscriptions.Get(call.Id, "subscription").ToJson(call.View));
        api.Post("/v1/subscriptions/{id}", "cancel_at_period_end cancel_at metadata pause_collection items", Update);
        api.Delete("/v1/subscriptions/{id}", "invoice_now prorate cancellation_details", call => call.Account.Cancel(call.Id).ToJson(call.View));
        api.Get("/v1/subscription_items", "subscription limit starting_after", call =>
        {
            var subscription = call.Account.Subscriptions.Get(call.Parameters.Required("subscription"), "subscription", "subscription");
            var items = subscription.Items.AsEnumerable();
            if (call.Parameters.Text("starting_after") is { } after)
                items = items.SkipWhile(item => item.Id != after).Skip(1);
            var limit = (int)(call.Parameters.Number("limit") ?? 10);
            return View.List(call.Path, items.Take(limit).Select(item => subscription.Item(item, call.View)), items.Count() > limit);
        });
        api.Post("/v1/subscriptions/{id}/pause", "", call => call.Account.Pause(call.Id).ToJson(call.View));
        api.Post("/v1/subscriptions/{id}/resume", "billing_cycle_anchor", call => call.Account.Resume(call.Id).ToJson(call.View));
    }

    static JsonObject Update(ApiCall call)
    {
        var (account, parameters) = (call.Account, call.Parameters);
        if (account.Subscriptions.Get(call.Id, "subscription").HasEnded && parameters.Flag("cancel_at_period_end") is not null)
            throw StripeException.Invalid("A canceled subscription can only update its cancellation_details and metadata.", "cancel_at_period_end");
        if (parameters.Flag("cancel_at_period_end") is { } cancel)
            account.CancelAtPeriodEnd(call.Id, cancel);
        if (parameters.Has("cancel_at"))
            account.CancelAt(call.Id, parameters.Time("cancel_at"));
        if (parameters.Map("metadata") is { } metadata)
            account.UpdateSubscription(call.Id, metadata);
        if (parameters.Has("pause_collection"))
            account.ResumeCollection(call.Id);
        if (parameters.Text("pause_collection[behavior]") is { } behavior)
            account.PauseCollection(call.Id, behavior, parameters.Time("pause_collection[resumes_at]"));
        if (parameters.Each("items", "price") is { Count: > 0 } prices)
        {
            foreach (var price in prices)
                account.Prices.Get(price, "price", "items[0][price]");
            account.ChangePrice(call.Id, prices);
        }

        return account.Subscriptions.Get(call.Id, "subscription").ToJson(call.View);
    }
}
