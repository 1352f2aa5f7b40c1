using System.Security.Cryptography;
using System.Text.Json;
using Pulse.Hosting;

namespace Pulse.Worker.Billing;

/// <summary>What a tenant gets for what it pays: the file that PULSE_PLANS_FILE names. deploy/plans.example.json describes it.</summary>
sealed class Plans
{
    public const string TrialVersion = "trial";

    readonly Dictionary<string, Plan> _byPrice = new(StringComparer.Ordinal);
    readonly Dictionary<string, Plan> _byName = new(StringComparer.Ordinal);

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
        Hash = Convert.ToHexStringLower(SHA256.HashData(JsonSerializer.SerializeToUtf8Bytes(new { Rules = BillingRules.Version, Plans = All })));
    }

    /// <summary>Nothing but the built-in trial: what holds without a file.</summary>
    public static Plans TrialOnly { get; } = new([]);

    /// <summary>What a tenant has before it has a subscription.</summary>
    public Plan Trial => _byName[TrialVersion];

    /// <summary>Every plan, the trial included, by name.</summary>
    public IReadOnlyList<Plan> All { get; }

    /// <summary>Of what the plans say and of the rules, not of the file's spaces. Another one: what was computed before is computed again.</summary>
    public string Hash { get; }

    /// <summary>The plan that a price sells, by its id, else by its lookup key; null when there is none.</summary>
    public Plan? Find(StripePrice price) =>
        _byPrice.GetValueOrDefault(price.Id) ?? (price.LookupKey is { } key ? _byPrice.GetValueOrDefault(key) : null);

    /// <summary>The plan of that name; null when there is none.</summary>
    public Plan? Named(string planVersion) => _byName.GetValueOrDefault(planVersion);

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
sealed record Plan
{
    public required string PlanVersion { get; init; }

    /// <summary>Stripe's price ids and lookup keys that sell it.</summary>
    public IReadOnlyList<string> Prices { get; init; } = [];
    public IReadOnlyList<string> Capabilities { get; init; } = [];

    /// <summary>A limit that is missing is none.</summary>
    public IReadOnlyDictionary<string, long> Limits { get; init; } = new SortedDictionary<string, long>(StringComparer.Ordinal);
    public IReadOnlyList<string> Meters { get; init; } = [];

    /// <summary>How long an invoice may be unpaid before access ends.</summary>
    public int GraceDays { get; init; } = 14;

    /// <summary>It only adds to a plan: its name is not shown, and a limit that it doesn't name it leaves as it is.</summary>
    public bool AddOn { get; init; }
}
