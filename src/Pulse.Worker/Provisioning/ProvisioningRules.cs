namespace Pulse.Worker.Provisioning;

/// <summary>What provisioning decides, without I/O.</summary>
static class ProvisioningRules
{
    public static readonly TimeSpan Trial = TimeSpan.FromDays(14);

    public static DateTimeOffset TrialEndsAt(DateTimeOffset provisionedAt) => provisionedAt + Trial;
}
