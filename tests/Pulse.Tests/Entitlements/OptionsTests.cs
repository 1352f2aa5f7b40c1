using Microsoft.Extensions.DependencyInjection;
using Pulse.Entitlements;

namespace Pulse.Tests.Entitlements;

public sealed class OptionsTests
{
    public static TheoryData<string, Action<EntitlementOptions>> Wrong => new()
    {
        { "Fresh", options => options.Fresh = TimeSpan.FromMilliseconds(99) },
        { "Fresh", options => options.Fresh = TimeSpan.FromHours(2) },
        { "Stale", options => options.Stale = TimeSpan.FromSeconds(59) },
        { "Stale", options => options.Stale = TimeSpan.FromDays(31) },
        { "Assumed", options => options.Assumed = TimeSpan.FromSeconds(-1) },
        { "NotFound", options => options.NotFound = TimeSpan.FromMinutes(6) },
        { "Timeout", options => options.Timeout = TimeSpan.Zero },
        { "Retry", options => options.Retry = TimeSpan.Zero },
        { "Heartbeat", options => options.Heartbeat = TimeSpan.FromHours(1) },
        { "MostOrganizations", options => options.MostOrganizations = 0 },
        { "SoftPercent", options => options.SoftPercent = 101 },
        { "TrialCapabilities", options => options.TrialCapabilities = null! },
        { "TrialLimits", options => options.TrialLimits = null! },
        { "ConnectionString", options => options.ConnectionString = " " },
    };

    [Theory]
    [MemberData(nameof(Wrong))]
    public void An_option_out_of_its_bounds_is_named_when_it_is_registered(string name, Action<EntitlementOptions> configure)
    {
        var refused = Assert.ThrowsAny<ArgumentException>(() => new ServiceCollection().AddPulseEntitlements(configure));

        Assert.Contains($"EntitlementOptions.{name}", refused.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Without_a_store_it_says_what_is_missing()
    {
        using var provider = new ServiceCollection().AddPulseEntitlements().BuildServiceProvider();

        Assert.Contains("NpgsqlDataSource", Assert.Throws<InvalidOperationException>(provider.GetRequiredService<EntitlementReader>).Message, StringComparison.Ordinal);
    }
}
