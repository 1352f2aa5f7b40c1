using Pulse.Hosting;

namespace Pulse.Worker.Provisioning;

/// <summary>How long provisioning may take, and what happens then.</summary>
sealed record ProvisioningOptions
{
    /// <summary>A signup that nothing happened to for this long is overdue. 5 s to 1 h.</summary>
    public required TimeSpan OverdueAfter { get; init; }

    /// <summary>How often an overdue signup is driven on before it is given up. 1 to 100.</summary>
    public required int Attempts { get; init; }

    /// <summary>How long the platform's hook may take; null: there is none, and a tenant is made at once.</summary>
    public TimeSpan? HookWithin { get; init; }

    /// <summary>How often overdue signups are looked for.</summary>
    public TimeSpan SweepEvery => OverdueAfter / 4;

    /// <summary>How long the first answer to an Idempotency-Key is remembered.</summary>
    public TimeSpan KeepIdempotencyKeys { get; } = TimeSpan.FromHours(24);

    public static ProvisioningOptions Read(Settings settings) => new()
    {
        OverdueAfter = TimeSpan.FromSeconds(settings.Number("PULSE_PROVISIONING_OVERDUE_SECONDS", otherwise: 120, least: 5, most: 3600)),
        Attempts = settings.Number("PULSE_PROVISIONING_ATTEMPTS", otherwise: 5, least: 1, most: 100),
        // The variables of the slice that calls it.
        HookWithin = settings.Optional("PULSE_PROVISION_HOOK_URL") is null
            ? null
            : TimeSpan.FromSeconds(settings.Number("PULSE_HOOK_DEADLINE_SECONDS", otherwise: 900, least: 10, most: 86_400)),
    };
}
