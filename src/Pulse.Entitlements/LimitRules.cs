using System.Collections.Frozen;

namespace Pulse.Entitlements;

/// <summary>What a limit says of a use.</summary>
static class LimitRules
{
    public static LimitLevel Level(long used, long? limit, int softPercent)
    {
        if (limit is not { } most)
            return LimitLevel.Within;
        if (used >= most)
            return LimitLevel.Hard;

        // 128 bits: neither product is cut off.
        return (Int128)used * 100 >= (Int128)most * softPercent ? LimitLevel.Soft : LimitLevel.Within;
    }
}

/// <summary>What stands in for an organization that was never read while the store can't be reached.</summary>
static class Trial
{
    public static Known Of(EntitlementOptions options) => new()
    {
        Exists = true,
        ReadAt = 0,
        Generation = 0,
        Timeline = new Timeline(
        [
            new Segment
            {
                From = 0,
                State = "trial",
                Access = true,
                PlanVersion = "trial",
                Capabilities = options.TrialCapabilities.ToFrozenSet(StringComparer.Ordinal),
                Limits = options.TrialLimits.ToFrozenDictionary(StringComparer.Ordinal),
                Meters = [],
                Source = "assumed",
            },
        ]),
    };
}
