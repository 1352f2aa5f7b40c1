using System.Globalization;
using System.Text.Json.Nodes;

namespace Pulse.StripeDouble.State;

/// <summary>What is sold.</summary>
public sealed record Product : Resource
{
    public required string Name { get; init; }
    public bool Active { get; init; } = true;

    internal override JsonObject ToJson(View view) => new()
    {
        ["id"] = Id,
        ["object"] = "product",
        ["active"] = Active,
        ["created"] = View.Seconds(Created),
        ["default_price"] = null,
        ["description"] = null,
        ["livemode"] = view.Livemode,
        ["marketing_features"] = new JsonArray(),
        ["metadata"] = new JsonObject(),
        ["name"] = Name,
        ["type"] = "service",
        ["updated"] = View.Seconds(Created),
    };
}

/// <summary>What it is sold at, each month.</summary>
public sealed record Price : Resource
{
    public required string ProductId { get; init; }
    public string? LookupKey { get; init; }
    public long UnitAmount { get; init; } = 2900;
    public string Currency { get; init; } = "usd";
    public bool Active { get; init; } = true;

    internal override JsonObject ToJson(View view) => new()
    {
        ["id"] = Id,
        ["object"] = "price",
        ["active"] = Active,
        ["billing_scheme"] = "per_unit",
        ["created"] = View.Seconds(Created),
        ["currency"] = Currency,
        ["livemode"] = view.Livemode,
        ["lookup_key"] = LookupKey,
        ["metadata"] = new JsonObject(),
        ["nickname"] = null,
        ["product"] = ProductId,
        ["recurring"] = new JsonObject { ["interval"] = "month", ["interval_count"] = 1, ["meter"] = null, ["trial_period_days"] = null, ["usage_type"] = "licensed" },
        ["tax_behavior"] = "unspecified",
        ["type"] = "recurring",
        ["unit_amount"] = UnitAmount,
        ["unit_amount_decimal"] = UnitAmount.ToString(CultureInfo.InvariantCulture),
    };
}

public sealed partial class Account
{
    /// <summary>A monthly price, with a product of its own unless one is named. One that is there already stays as it is.</summary>
    public Price AddPrice(string id, string? lookupKey = null, long unitAmount = 2900, string? productId = null) => Do(() =>
    {
        if (Prices.Find(id) is { } known)
            return known;

        var products = Products.Count;
        var price = Stock(id, lookupKey, unitAmount, productId);
        if (Products.Count > products)
            Emit("product.created", Products.Get(price.ProductId, "product"));
        Emit("price.created", price);
        return price;
    });

    Price Stock(string id, string? lookupKey, long unitAmount, string? productId)
    {
        if (Prices.Find(id) is { } known)
            return known;

        productId ??= id.StartsWith("price_", StringComparison.Ordinal) ? $"prod_{id["price_".Length..]}" : NewId("prod_");
        if (Products.Find(productId) is null)
            Products.Put(new Product { Id = productId, Created = Now, Name = lookupKey ?? productId });
        return Prices.Put(new Price { Id = id, Created = Now, ProductId = productId, LookupKey = lookupKey, UnitAmount = unitAmount });
    }

    /// <summary>Changes a price for every subscription that has it.</summary>
    public Price UpdatePrice(string id, string? lookupKey = null, bool? active = null) => Do(() =>
    {
        var price = Prices.Get(id, "price");
        var before = Shown(price);
        price = Prices.Put(price with { LookupKey = lookupKey ?? price.LookupKey, Active = active ?? price.Active });
        Emit("price.updated", price, before);
        return price;
    });

    /// <summary>Changes a product.</summary>
    public Product UpdateProduct(string id, string? name = null, bool? active = null) => Do(() =>
    {
        var product = Products.Get(id, "product");
        var before = Shown(product);
        product = Products.Put(product with { Name = name ?? product.Name, Active = active ?? product.Active });
        Emit("product.updated", product, before);
        return product;
    });
}
