using Pulse.Hosting;

namespace Pulse.Worker.Billing;

/// <summary>What a tenant gets for what it pays: the file that PULSE_PLANS_FILE names.</summary>
sealed class Plans
{
    public const string TrialVersion = "trial";

    /// <summary>Nothing but the built-in trial: what holds without a file.</summary>
    public static Plans TrialOnly { get; } = new();

    /// <summary>What a tenant has before it has a subscription.</summary>
    public Plan Trial => throw new NotImplementedException();

    /// <summary>Every plan, the trial included.</summary>
    public IReadOnlyList<Plan> All => throw new NotImplementedException();

    /// <summary>Another one means: what was computed before may have to be computed again.</summary>
    public string Hash => throw new NotImplementedException();

    /// <summary>The plan that a price sells, by its id, else by its lookup key; null when the file has neither.</summary>
    public Plan? Find(StripePrice price) => throw new NotImplementedException();

    public static Plans Read(Settings settings) => throw new NotImplementedException();
}

/// <summary>One plan.</summary>
sealed record Plan
{
    public required string PlanVersion { get; init; }
    public IReadOnlyList<string> Capabilities { get; init; } = [];

    /// <summary>A limit that is missing is none.</summary>
    public IReadOnlyDictionary<string, long> Limits { get; init; } = new Dictionary<string, long>();
    public IReadOnlyList<string> Meters { get; init; } = [];

    /// <summary>How long an invoice may be unpaid before access ends.</summary>
    public int GraceDays { get; init; } = 14;
}
