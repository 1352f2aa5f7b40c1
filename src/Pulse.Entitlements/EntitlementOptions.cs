namespace Pulse.Entitlements;

/// <summary>How a service reads entitlements. Every bound that the answers rest on is here; the defaults are those of the documentation.</summary>
public sealed class EntitlementOptions
{
    /// <summary>
    /// Npgsql's connection string of a role that may select from <c>pulse.entitlements_v1</c>. Null: the
    /// <see cref="Npgsql.NpgsqlDataSource"/> that is registered is used.
    /// </summary>
    public string? ConnectionString { get; set; }

    /// <summary>How long what was read is answered as fresh, without any I/O. 100 ms to 1 h; default 60 s.</summary>
    public TimeSpan Fresh { get; set; } = TimeSpan.FromSeconds(60);

    /// <summary>
    /// How old what was read may be to be answered at once while it is read anew. Older than this a read waits for the store, and gets
    /// the last known answer only if the store can't be reached. <see cref="Fresh"/> to 30 days; default 1 h.
    /// </summary>
    public TimeSpan Stale { get; set; } = TimeSpan.FromHours(1);

    /// <summary>How long an organization that was never read is taken for one on trial while the store can't be reached. 0 to 7 days; default 1 h.</summary>
    public TimeSpan Assumed { get; set; } = TimeSpan.FromHours(1);

    /// <summary>How long it is remembered that there is no such organization: one that is made then appears that much later. 0 to 5 min; default 5 s.</summary>
    public TimeSpan NotFound { get; set; } = TimeSpan.FromSeconds(5);

    /// <summary>How long a read waits for the store at most. 10 ms to 30 s; default 2 s.</summary>
    public TimeSpan Timeout { get; set; } = TimeSpan.FromSeconds(2);

    /// <summary>How often a store that can't be reached is tried again; nobody waits for it meanwhile. 10 ms to 60 s; default 1 s.</summary>
    public TimeSpan Retry { get; set; } = TimeSpan.FromSeconds(1);

    /// <summary>How often the connection that changes are announced on is probed when it is silent. 100 ms to 5 min; default 10 s.</summary>
    public TimeSpan Heartbeat { get; set; } = TimeSpan.FromSeconds(10);

    /// <summary>
    /// Organizations kept in memory; those that were not asked for lately make room. An organization takes about 1 kB. 1 to 50 000 000;
    /// default 100 000.
    /// </summary>
    public int MostOrganizations { get; set; } = 100_000;

    /// <summary>From which part of a limit on it is soft, in percent, rounded up to whole units. 1 to 100; default 90.</summary>
    public int SoftPercent { get; set; } = 90;

    /// <summary>What an organization on trial may do, for <see cref="Freshness.Assumed"/>: as the trial plan of the plans file has it. Default: nothing.</summary>
    public IReadOnlyCollection<string> TrialCapabilities { get; set; } = [];

    /// <summary>An organization's limits on trial, for <see cref="Freshness.Assumed"/>. Default: none.</summary>
    public IReadOnlyDictionary<string, long> TrialLimits { get; set; } = new Dictionary<string, long>();

    internal void Validate()
    {
        Within(Fresh, TimeSpan.FromMilliseconds(100), TimeSpan.FromHours(1), nameof(Fresh));
        Within(Stale, Fresh, TimeSpan.FromDays(30), nameof(Stale));
        Within(Assumed, TimeSpan.Zero, TimeSpan.FromDays(7), nameof(Assumed));
        Within(NotFound, TimeSpan.Zero, TimeSpan.FromMinutes(5), nameof(NotFound));
        Within(Timeout, TimeSpan.FromMilliseconds(10), TimeSpan.FromSeconds(30), nameof(Timeout));
        Within(Retry, TimeSpan.FromMilliseconds(10), TimeSpan.FromSeconds(60), nameof(Retry));
        Within(Heartbeat, TimeSpan.FromMilliseconds(100), TimeSpan.FromMinutes(5), nameof(Heartbeat));
        Within(MostOrganizations, 1, 50_000_000, nameof(MostOrganizations));
        Within(SoftPercent, 1, 100, nameof(SoftPercent));
        ArgumentNullException.ThrowIfNull(TrialCapabilities, $"{nameof(EntitlementOptions)}.{nameof(TrialCapabilities)}");
        ArgumentNullException.ThrowIfNull(TrialLimits, $"{nameof(EntitlementOptions)}.{nameof(TrialLimits)}");
        if (ConnectionString is not null && string.IsNullOrWhiteSpace(ConnectionString))
            throw new ArgumentException($"{nameof(EntitlementOptions)}.{nameof(ConnectionString)} is blank. Leave it null to use the registered NpgsqlDataSource.");
    }

    static void Within<T>(T value, T least, T most, string name)
        where T : IComparable<T>
    {
        if (value.CompareTo(least) < 0 || value.CompareTo(most) > 0)
            throw new ArgumentOutOfRangeException($"{nameof(EntitlementOptions)}.{name}", value, $"It must be from {least} to {most}.");
    }
}
