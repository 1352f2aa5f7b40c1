using System.Text.Json.Nodes;

namespace Pulse.StripeDouble.State;

/// <summary>A customer. A deleted one stays, as Stripe answers for it still.</summary>
public sealed record Customer : Resource
{
    public string? Email { get; init; }
    public string? Name { get; init; }
    public IReadOnlyDictionary<string, string> Metadata { get; init; } = new Dictionary<string, string>();
    public bool Delinquent { get; init; }
    public bool Deleted { get; init; }

    public override string Owner => Id;

    internal override JsonObject ToJson(View view) => Deleted
        ? new JsonObject { ["id"] = Id, ["object"] = "customer", ["deleted"] = true }
        : new JsonObject
        {
            ["id"] = Id,
            ["object"] = "customer",
            ["address"] = null,
            ["balance"] = 0,
            ["created"] = View.Seconds(Created),
            ["currency"] = null,
            ["default_source"] = null,
            ["delinquent"] = Delinquent,
            ["description"] = null,
            ["email"] = Email,
            ["invoice_prefix"] = Id[^8..].ToUpperInvariant(),
            ["livemode"] = view.Livemode,
            ["metadata"] = View.Map(Metadata),
            ["name"] = Name,
            ["phone"] = null,
            ["preferred_locales"] = new JsonArray(),
            ["shipping"] = null,
            ["tax_exempt"] = "none",
            ["test_clock"] = null,
        };
}

public sealed partial class Account
{
    /// <summary>A customer as it now is.</summary>
    public Customer Customer(string id) => Do(() => Customers.Get(id, "customer"));

    /// <summary>Makes a customer; one that is known by its organization has <c>metadata.org_id</c>.</summary>
    public Customer CreateCustomer(string? email = null, string? name = null, IReadOnlyDictionary<string, string>? metadata = null, string? orgId = null) => Do(() =>
    {
        var customer = Customers.Put(new Customer
        {
            Id = NewId("cus_"),
            Created = Now,
            Email = email,
            Name = name,
            Metadata = With(metadata, "org_id", orgId),
        });
        Emit("customer.created", customer);
        return customer;
    });

    /// <summary>Changes what is given; metadata is merged, and an empty value takes its name away.</summary>
    public Customer UpdateCustomer(string id, string? email = null, string? name = null, IReadOnlyDictionary<string, string>? metadata = null) =>
        Do(() => Change(Alive(id, "id"), customer => customer with
        {
            Email = email ?? customer.Email,
            Name = name ?? customer.Name,
            Metadata = Merged(customer.Metadata, metadata),
        }));

    /// <summary>Deletes it; its subscriptions end at once, and its entitlements go.</summary>
    public Customer DeleteCustomer(string id) => Do(() =>
    {
        var customer = Alive(id, "id");
        foreach (var subscription in Subscriptions.Of(id).Where(subscription => !subscription.HasEnded).ToList())
            End(subscription);
        foreach (var entitlement in ActiveEntitlements.Of(id).ToList())
            ActiveEntitlements.Remove(entitlement);

        // The event shows the customer as it was.
        Emit("customer.deleted", customer);
        return Customers.Put(customer with { Deleted = true });
    });

    internal Customer Alive(string? id, string parameter = "customer") =>
        Customers.Find(id) is { Deleted: false } customer ? customer : throw StripeException.Missing("customer", id, parameter);

    Customer Change(Customer customer, Func<Customer, Customer> change)
    {
        var before = Shown(customer);
        var changed = Customers.Put(change(customer));
        Emit("customer.updated", changed, before);
        return changed;
    }

    static Dictionary<string, string> With(IReadOnlyDictionary<string, string>? metadata, string name, string? value)
    {
        var with = new Dictionary<string, string>(metadata ?? new Dictionary<string, string>());
        if (value is not null)
            with[name] = value;

        return with;
    }

    static Dictionary<string, string> Merged(IReadOnlyDictionary<string, string> metadata, IReadOnlyDictionary<string, string>? changes)
    {
        var merged = new Dictionary<string, string>(metadata);
        foreach (var (name, value) in changes ?? new Dictionary<string, string>())
        {
            if (value.Length == 0)
                merged.Remove(name);
            else
                merged[name] = value;
        }

        return merged;
    }
}
