using System.Security.Cryptography;
using System.Text.Json;
using Pulse.Hosting;

namespace Pulse.Catalog;

/// <summary>What a tenant gets for what it pays: the file that PULSE_PLANS_FILE names. deploy/plans.example.json describes it.</summary>
public sealed class Plans
{
    /// <summary>The name of the plan of whoever has no subscription.</summary>
    public const string TrialVersion = "trial";

    readonly Dictionary<string, Plan> _byPrice = new(StringComparer.Ordinal);
    readonly Dictionary<string, Plan> _byName = new(StringComparer.Ordinal);

    /// <summary>Takes these plans.</summary>
    /// <param name="plans">No two with one name or one price; the built-in trial is added when none is called trial.</param>
    public Plans(IEnumerable<Plan> plans)
    {
        foreach (var plan in plans)
        {
            _byName.Add(plan.PlanVersion, plan);
            foreach (var price in plan.Prices)
                _byPrice.Add(price, plan);
        }

        _byName.TryAdd(TrialVersion, new Plan { PlanVersion = TrialVersion });
        All = [.. _byName.Values.OrderBy(plan => plan.PlanVersion, StringComparer.Ordinal)];
        Hash = Convert.ToHexStringLower(SHA256.HashData(JsonSerializer.SerializeToUtf8Bytes(All)));
    }

    /// <summary>Nothing but the built-in trial: what holds without a file.</summary>
    public static Plans TrialOnly { get; } = new([]);

    /// <summary>What a tenant has before it has a subscription.</summary>
    public Plan Trial => _byName[TrialVersion];

    /// <summary>Every plan, the trial included, by name.</summary>
    public IReadOnlyList<Plan> All { get; }

    /// <summary>SHA-256 of what the plans say, not of the file's spaces; 64 hexadecimal digits.</summary>
    public string Hash { get; }

    /// <summary>The plan that a price sells, by its id, else by its lookup key; null when there is none.</summary>
    public Plan? Find(string priceId, string? lookupKey) =>
        _byPrice.GetValueOrDefault(priceId) ?? (lookupKey is { } key ? _byPrice.GetValueOrDefault(key) : null);

    /// <summary>The plan of that name; null when there is none.</summary>
    public Plan? Named(string planVersion) => _byName.GetValueOrDefault(planVersion);

    /// <summary>The plans of the file that PULSE_PLANS_FILE names; without one <see cref="TrialOnly"/>. What is wrong with it becomes a mistake of the settings.</summary>
    public static Plans Read(Settings settings)
    {
        const string name = "PULSE_PLANS_FILE";
        if (settings.Optional(name) is not { } file)
            return TrialOnly;

        try
        {
            if (PlansFile.Parse(File.ReadAllText(file), out var mistakes) is { } plans)
                return plans;

            foreach (var mistake in mistakes)
                settings.Mistake(name, $"is {file}: {mistake}");
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException or ArgumentException or NotSupportedException)
        {
            settings.Mistake(name, $"is {file}, which can't be read: {exception.Message}");
        }

        return TrialOnly;
    }
}

/// <summary>One plan.</summary>
public sealed record Plan
{
    /// <summary>Its name.</summary>
    public required string PlanVersion { get; init; }

    /// <summary>Stripe's price ids and lookup keys that sell it.</summary>
    public IReadOnlyList<string> Prices { get; init; } = [];

    /// <summary>What it lets an organization do.</summary>
    public IReadOnlyList<string> Capabilities { get; init; } = [];

    /// <summary>A limit that is missing is none.</summary>
    public IReadOnlyDictionary<string, long> Limits { get; init; } = new SortedDictionary<string, long>(StringComparer.Ordinal);

    /// <summary>What is metered.</summary>
    public IReadOnlyList<string> Meters { get; init; } = [];

    /// <summary>How long an invoice may be unpaid before access ends, in days, 0 to 365.</summary>
    public int GraceDays { get; init; } = 14;

    /// <summary>It only adds to a plan: its name is not shown, and a limit that it doesn't name it leaves as it is.</summary>
    public bool AddOn { get; init; }
}
