using Pulse.StripeDouble.State;

namespace Pulse.StripeDouble.Api;

/// <summary>A request to Stripe's API, read and checked.</summary>
sealed record ApiCall(Account Account, string Path, Parameters Parameters, View View, Func<string, string?> Route)
{
    /// <summary>The id in the path.</summary>
    public string Id => Route("id")!;
}
