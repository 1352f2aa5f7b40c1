using Npgsql;

namespace Pulse.Worker.Billing;

/// <summary>What an organization may do, as it stands after <see cref="EntitlementTable.RecomputeAsync"/>.</summary>
/// <param name="Current">In force now.</param>
/// <param name="Changed">The version is a new one: publish EntitlementsChanged.</param>
sealed record Entitlements(Guid OrgId, long Version, Segment Current, bool Changed);

/// <summary>Statements on what organizations may do.</summary>
static class EntitlementTable
{
    /// <summary>
    /// Computes an organization's entitlements and stores them where they differ, with an audit row, under the lock of its
    /// billing_states row, in the caller's transaction. The caller publishes EntitlementsChanged.
    /// </summary>
    /// <param name="verified">
    /// Its canonicals are what Stripe said just now. Then a price without a plan is an <see cref="UnknownPriceException"/>; otherwise
    /// the subscription keeps what it had, marked stale: neither an override nor a boundary must fail for it.
    /// </param>
    /// <returns>Null: there is no such organization, or it is the platform's own.</returns>
    public static Task<Entitlements?> RecomputeAsync(
        NpgsqlConnection connection, Guid orgId, Plans plans, DateTimeOffset now, bool verified, string actor, string cause, CancellationToken cancellationToken) =>
        throw new NotImplementedException();
}
