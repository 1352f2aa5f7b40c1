using FsCheck;
using FsCheck.Fluent;
using Pulse.Worker.Provisioning;

namespace Pulse.Tests.Provisioning;

/// <summary>What provisioning decides.</summary>
public sealed class ProvisioningRulesTests
{
    [Fact]
    public void A_trial_ends_fourteen_days_after_it_began() => Assert.Equal(
        new DateTimeOffset(2026, 3, 3, 10, 30, 0, TimeSpan.Zero),
        ProvisioningRules.TrialEndsAt(new DateTimeOffset(2026, 2, 17, 10, 30, 0, TimeSpan.Zero)));

    [Fact]
    public void It_is_fourteen_times_24_hours_whatever_the_calendar_does() => Prop
        .ForAll<int>(seconds =>
        {
            // Some 68 years to either side, so over every leap day, turn of a year and daylight saving.
            var began = new DateTimeOffset(2026, 1, 1, 0, 0, 0, TimeSpan.Zero).AddSeconds(seconds);
            return ProvisioningRules.TrialEndsAt(began) - began == TimeSpan.FromHours(14 * 24);
        })
        .QuickCheckThrowOnFailure();
}
