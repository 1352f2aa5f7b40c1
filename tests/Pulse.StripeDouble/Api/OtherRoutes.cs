using System.Text.Json.Nodes;
using Pulse.StripeDouble.State;

namespace Pulse.StripeDouble.Api;

static class OtherRoutes
{
    // Stripe keeps its events this long.
    static readonly TimeSpan Kept = TimeSpan.FromDays(30);

    public static void MapTheRest(this StripeApi api)
    {
        api.Get("/v1/events", $"type types created delivery_success {Page.Allowed}", call =>
        {
            var (type, types, created, delivered) = (call.Parameters.Text("type"), call.Parameters.List("types"), call.Parameters.Range("created"), call.Parameters.Flag("delivery_success"));
            if (types.Count > 20)
                throw StripeException.Invalid("types may have up to 20 values.", "types");

            var oldest = call.Account.Now - Kept;
            return Page.Of(call, "event", call.Account.Events, null, made => made.Created >= oldest && created(made.Created)
                && (type is null || Matches(made.Type, type)) && (types.Count == 0 || types.Contains(made.Type))
                && (delivered is null || made.Delivered == delivered));
        });
        api.Get("/v1/events/{id}", "", call => call.Account.Events.Get(call.Id, "event").ToJson(call.View));

        api.Get("/v1/entitlements/active_entitlements", $"customer {Page.Allowed}", call =>
        {
            call.Parameters.Required("customer");
            return Page.Of(call, "active entitlement", call.Account.ActiveEntitlements, call.Listed(), _ => true);
        });

        One("/v1/charges/{id}", "charge", account => account.Charges);
        One("/v1/refunds/{id}", "refund", account => account.Refunds);
        One("/v1/disputes/{id}", "dispute", account => account.Disputes);
        One("/v1/prices/{id}", "price", account => account.Prices);
        One("/v1/products/{id}", "product", account => account.Products);

        api.Get("/v1/prices", $"product lookup_keys active {Page.Allowed}", call =>
        {
            var (product, keys, active) = (call.Parameters.Text("product"), call.Parameters.List("lookup_keys"), call.Parameters.Flag("active"));
            return Page.Of(call, "price", call.Account.Prices, null, price => (product is null || price.ProductId == product)
                && (keys.Count == 0 || keys.Contains(price.LookupKey)) && (active is null || price.Active == active));
        });

        void One<T>(string path, string kind, Func<Account, Shelf<T>> shelf) where T : Resource =>
            api.Get(path, "", call => (JsonObject)shelf(call.Account).Get(call.Id, kind).ToJson(call.View));
    }

    static bool Matches(string type, string pattern) =>
        pattern.EndsWith(".*", StringComparison.Ordinal) ? type.StartsWith(pattern[..^1], StringComparison.Ordinal) : type == pattern;
}
