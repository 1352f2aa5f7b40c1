namespace Pulse.StripeDouble.Api;

static class CustomerRoutes
{
    public static void MapCustomers(this StripeApi api)
    {
        api.Get("/v1/customers", $"email created {Page.Allowed}", call =>
        {
            var (email, created) = (call.Parameters.Text("email"), call.Parameters.Range("created"));
            return Page.Of(call, "customer", call.Account.Customers, null, customer =>
                !customer.Deleted && (email is null || customer.Email == email) && created(customer.Created));
        });

        api.Post("/v1/customers", "email name description metadata", call => call.Account
            .CreateCustomer(call.Parameters.Text("email"), call.Parameters.Text("name"), call.Parameters.Map("metadata")).ToJson(call.View));

        // A deleted customer is answered for; one that never was is not.
        api.Get("/v1/customers/{id}", "", call => call.Account.Customers.Get(call.Id, "customer").ToJson(call.View));

        api.Post("/v1/customers/{id}", "email name description metadata", call => call.Account
            .UpdateCustomer(call.Id, call.Parameters.Text("email"), call.Parameters.Text("name"), call.Parameters.Map("metadata")).ToJson(call.View));

        api.Delete("/v1/customers/{id}", "", call => call.Account.DeleteCustomer(call.Id).ToJson(call.View));
    }

    /// <summary>The customer that a list is asked for: it must be, or have been, there.</summary>
    public static string? Listed(this ApiCall call)
    {
        if (call.Parameters.Text("customer") is not { } id)
            return null;

        return call.Account.Customers.Get(id, "customer", "customer").Id;
    }
}
