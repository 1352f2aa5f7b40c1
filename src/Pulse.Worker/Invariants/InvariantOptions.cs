using Pulse.Hosting;

namespace Pulse.Worker.Invariants;

/// <summary>What counts as late, and how often is looked.</summary>
sealed record InvariantOptions
{
    /// <summary>By then the sweep has given a signup up, and that has been written.</summary>
    public required TimeSpan UnfinishedAfter { get; init; }

    /// <summary>For so long a message may wait for a relay, and a broker for its restart.</summary>
    public TimeSpan OutboxAfter { get; } = TimeSpan.FromSeconds(60);

    /// <summary>How often the gauge looks, at most.</summary>
    public TimeSpan Every { get; } = TimeSpan.FromSeconds(60);

    /// <summary>How far back the gauge looks. The doctor looks at everything.</summary>
    public TimeSpan Window { get; } = TimeSpan.FromDays(1);

    public static InvariantOptions Read(Settings settings)
    {
        // The bounds of the provisioning slice, whose variables these are: a signup is overdue once for each attempt and once more,
        // and the sweep finds it a quarter of that time late at most.
        var overdue = settings.Number("PULSE_PROVISIONING_OVERDUE_SECONDS", otherwise: 120, least: 5, most: 3600);
        var attempts = settings.Number("PULSE_PROVISIONING_ATTEMPTS", otherwise: 5, least: 1, most: 100);
        // And the platform's hook takes its time first, if there is one.
        var hook = settings.Optional("PULSE_PROVISION_HOOK_URL") is null ? 0 : settings.Number("PULSE_HOOK_DEADLINE_SECONDS", otherwise: 900, least: 10, most: 86_400);
        return new InvariantOptions { UnfinishedAfter = TimeSpan.FromSeconds(1.25 * overdue * (attempts + 1) + 60 + hook) };
    }
}
