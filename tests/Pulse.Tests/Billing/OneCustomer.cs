namespace Pulse.Tests.Billing;

/// <summary>What most tests of the sync begin with.</summary>
static class OneCustomer
{
    /// <summary>A customer of a new organization, and a worker with a clock of its own.</summary>
    public static async Task<(SyncWorker Worker, string Customer, Guid Org)> BeginAsync(this SyncBed bed)
    {
        var org = await bed.OrgAsync();
        return (bed.Worker(new TestClock()), bed.Stripe.Account.CreateCustomer(orgId: org.ToString()).Id, org);
    }

    /// <summary>Everything that happened to the customer at Stripe, in its order.</summary>
    public static async Task DeliverAllAsync(this SyncBed bed, SyncWorker worker, string customer)
    {
        foreach (var happened in bed.EventsOf(customer))
            await worker.DeliverAsync(happened);
    }
}
