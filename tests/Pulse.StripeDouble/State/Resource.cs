using System.Text.Json.Nodes;
using System.Text.Json.Serialization;

namespace Pulse.StripeDouble.State;

/// <summary>Whatever Stripe keeps under an id.</summary>
public abstract record Resource
{
    /// <summary>Stripe's id, with its prefix.</summary>
    public required string Id { get; init; }

    /// <summary>When it was made: whole seconds, as everything at Stripe.</summary>
    public required DateTimeOffset Created { get; init; }

    /// <summary>What lists are ordered by: a later one is newer, within one second too.</summary>
    public long Sequence { get; init; }

    /// <summary>The customer that it belongs to.</summary>
    [JsonIgnore]
    public virtual string? Owner => null;

    /// <summary>Stripe's JSON of it.</summary>
    internal abstract JsonObject ToJson(View view);
}

/// <summary>How the API shows its objects: which generation of it, and where to look up what is embedded.</summary>
/// <param name="Account">The account.</param>
/// <param name="Basil">From 2025-03-31 on a billing period is its items', and an invoice's subscription is under its parent.</param>
sealed record View(Account Account, bool Basil)
{
    public bool Livemode => Account.Livemode;

    public static bool IsBasil(string version) => string.CompareOrdinal(version, "2025-03-31") >= 0;

    public static long Seconds(DateTimeOffset time) => time.ToUnixTimeSeconds();

    public static long? Seconds(DateTimeOffset? time) => time?.ToUnixTimeSeconds();

    public static JsonObject Map(IReadOnlyDictionary<string, string> metadata)
    {
        var map = new JsonObject();
        foreach (var (name, value) in metadata)
            map[name] = value;

        return map;
    }

    public static JsonArray Array(IEnumerable<JsonNode> nodes) => [.. nodes];

    /// <summary>A list that is embedded in another object.</summary>
    public static JsonObject List(string url, IEnumerable<JsonNode> data, bool hasMore = false) => new()
    {
        ["object"] = "list",
        ["data"] = Array(data),
        ["has_more"] = hasMore,
        ["url"] = url,
    };
}
