using Pulse.Messaging;

namespace Pulse.Worker.Billing;

/// <summary>What billing decides, without I/O.</summary>
static class BillingRules
{
    /// <summary>What the tenant may do now, and from each boundary known today on.</summary>
    /// <exception cref="UnknownPriceException">A subscription is sold at a price that no plan has.</exception>
    public static IReadOnlyList<Segment> Timeline(
        IReadOnlyList<Canonical> customers, IReadOnlyList<BillingOverride> overrides, DateTimeOffset? trialEndsAt, Segment? previous, Plans plans, DateTimeOffset now) =>
        throw new NotImplementedException();
}

/// <summary>A subscription is sold at a price that the plans file doesn't have. A replay applies it once the file has it.</summary>
sealed class UnknownPriceException(string priceId) : UnprocessableMessageException($"No plan has the price {priceId}.")
{
    public string PriceId => priceId;
}
