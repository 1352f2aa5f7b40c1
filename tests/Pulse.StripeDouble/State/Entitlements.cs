using System.Text.Json.Nodes;

namespace Pulse.StripeDouble.State;

/// <summary>A feature that a customer has.</summary>
public sealed record ActiveEntitlement : Resource
{
    public required string CustomerId { get; init; }
    public required string LookupKey { get; init; }

    public override string Owner => CustomerId;

    internal override JsonObject ToJson(View view) => new()
    {
        ["id"] = Id,
        ["object"] = "entitlements.active_entitlement",
        ["feature"] = $"feat_{LookupKey}",
        ["livemode"] = view.Livemode,
        ["lookup_key"] = LookupKey,
    };
}

public sealed partial class Account
{
    // What Stripe embeds in the event; the rest is only in the API's list.
    const int Embedded = 10;

    /// <summary>The lookup keys of what a customer is entitled to, the oldest first.</summary>
    public IReadOnlyList<string> EntitlementsOf(string customerId) => Do(() => ActiveEntitlements.Of(customerId).Select(entitlement => entitlement.LookupKey).ToList());

    /// <summary>Entitles a customer to exactly these features.</summary>
    public IReadOnlyList<ActiveEntitlement> SetEntitlements(string customerId, params IReadOnlyList<string> lookupKeys) => Do(() =>
    {
        Alive(customerId);
        var before = Summary(customerId);
        foreach (var gone in ActiveEntitlements.Of(customerId).Where(entitlement => !lookupKeys.Contains(entitlement.LookupKey)).ToList())
            ActiveEntitlements.Remove(gone);
        foreach (var key in lookupKeys.Distinct().Except(ActiveEntitlements.Of(customerId).Select(entitlement => entitlement.LookupKey)).ToList())
            ActiveEntitlements.Put(new ActiveEntitlement { Id = NewId("ent_test_"), Created = Now, CustomerId = customerId, LookupKey = key });

        Emit("entitlements.active_entitlement_summary.updated", Summary(customerId), customerId, before);
        return ActiveEntitlements.Of(customerId).ToList();
    });

    JsonObject Summary(string customerId)
    {
        var view = new View(this, View.IsBasil(ApiVersion));
        var all = ActiveEntitlements.Of(customerId);
        return new JsonObject
        {
            ["object"] = "entitlements.active_entitlement_summary",
            ["customer"] = customerId,
            ["entitlements"] = View.List($"/v1/customer/{customerId}/entitlements", all.Reverse().Take(Embedded).Select(entitlement => entitlement.ToJson(view)), all.Count > Embedded),
            ["livemode"] = Livemode,
        };
    }
}
