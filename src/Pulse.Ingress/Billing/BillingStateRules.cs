using System.Globalization;
using System.Text.Json;
using System.Text.RegularExpressions;
using Pulse.Contracts.Billing;
using Pulse.Ingress.Http;

namespace Pulse.Ingress.Billing;

/// <summary>What an operator may set a billing state to, and what is in force of one at a moment.</summary>
static partial class BillingStateRules
{
    public const int ReasonMost = 500;
    public const int NameMost = 100;
    public const int NamesMost = 200;

    public static readonly IReadOnlyList<string> States = ["trial", "active", "grace", "expired", "suspended"];
    public static readonly IReadOnlyList<string> Effects = ["deny", "grant", "pin"];

    // What GET tells beside: a state may be sent back as it came.
    static readonly string[] ReadOnly = ["source", "version"];

    /// <summary>The request, or null and what is wrong with it: field → messages.</summary>
    public static BillingStateRequest? Parse(JsonElement body, DateTimeOffset now, out OrderedDictionary<string, string[]> errors)
    {
        errors = [];
        var request = new BillingStateRequest { Effect = "pin", State = new BillingStateParts() };
        if (JsonObjectBody.Fields(body) is not { } fields)
        {
            errors["body"] = ["A field's name is not text."];
            return null;
        }

        foreach (var field in fields)
        {
            // Null is what a field is that was left out.
            if (field.Value.ValueKind == JsonValueKind.Null || ReadOnly.Contains(field.Name))
                continue;
            if (Take(request, field.Name, field.Value, now, out var mistake) is { } taken)
                request = taken;
            else
                errors[field.Name] = [mistake];
        }

        if (errors.Count == 0)
            Together(request, errors);
        return errors.Count == 0 ? request : null;
    }

    /// <summary>The code of an answer that tells of these errors.</summary>
    public static string Code(OrderedDictionary<string, string[]> errors) =>
        errors.ContainsKey("subscription_state") ? "invalid_subscription_state" : "invalid_request";

    static BillingStateRequest? Take(BillingStateRequest request, string name, JsonElement value, DateTimeOffset now, out string mistake)
    {
        mistake = "";
        switch (name)
        {
            case "effect":
                mistake = $"effect is one of {string.Join(", ", Effects)}.";
                return JsonObjectBody.Text(value) is { } effect && Effects.Contains(effect) ? request with { Effect = effect } : null;
            case "subscription_state":
                mistake = $"subscription_state is one of {string.Join(", ", States)}.";
                return JsonObjectBody.Text(value) is { } state && States.Contains(state) ? request with { State = request.State with { SubscriptionState = state } } : null;
            case "plan_version":
                mistake = $"plan_version is a text of 1 to {NameMost} characters.";
                return JsonObjectBody.Text(value) is { } plan && IsName(plan) ? request with { State = request.State with { PlanVersion = plan } } : null;
            case "capabilities":
                mistake = NamesMistake(name);
                return Names(value) is { } capabilities ? request with { State = request.State with { Capabilities = capabilities } } : null;
            case "meters_enabled":
                mistake = NamesMistake(name);
                return Names(value) is { } meters ? request with { State = request.State with { MetersEnabled = meters } } : null;
            case "limits":
                mistake = $"limits is an object of at most {NamesMost} whole numbers from 0, each under a name of 1 to {NameMost} characters.";
                return Limits(value) is { } limits ? request with { State = request.State with { Limits = limits } } : null;
            case "trial_ends_at":
                mistake = TimeMistake(name);
                return Time(value) is { } trial ? request with { State = request.State with { TrialEndsAt = trial } } : null;
            case "grace_until":
                mistake = TimeMistake(name);
                return Time(value) is { } grace ? request with { State = request.State with { GraceUntil = grace } } : null;
            case "expires_at":
                mistake = TimeMistake(name) + " It is in the future.";
                return Time(value) is { } end && end > now ? request with { ExpiresAt = end } : null;
            case "reason":
                mistake = $"reason is a text of at most {ReasonMost} characters.";
                return JsonObjectBody.Text(value) is { Length: <= ReasonMost } reason ? request with { Reason = reason } : null;
            default:
                // Not passed over: an expires_at that is misspelt would be an override without an end.
                mistake = "There is no such field.";
                return null;
        }
    }

    static void Together(BillingStateRequest request, OrderedDictionary<string, string[]> errors)
    {
        // With no part given.
        var sets = request.State != new BillingStateParts();
        if (request.Effect == "deny" && sets)
            errors["effect"] = ["deny takes everything away: it goes with reason and expires_at only."];
        if (request.Effect != "deny" && !sets)
            errors["effect"] = [$"{request.Effect} sets something: subscription_state, plan_version, capabilities, limits, meters_enabled, trial_ends_at or grace_until."];
    }

    /// <summary>The plan is one that says what it gives, or what it gives is said beside it.</summary>
    public static OrderedDictionary<string, string[]> UnknownPlan(string plan) => new()
    {
        ["plan_version"] = [$"There is no plan '{plan}' in the plans file. Another name needs its capabilities beside it."],
    };

    static string NamesMistake(string name) => $"{name} is a list of at most {NamesMost} texts of 1 to {NameMost} characters, each once.";

    static string TimeMistake(string name) => $"{name} is a time with its offset, such as 2030-01-31T12:00:00Z.";

    static bool IsName(string text) => text.Length is >= 1 and <= NameMost && !text.Any(char.IsControl);

    static List<string>? Names(JsonElement value)
    {
        if (value.ValueKind != JsonValueKind.Array || value.GetArrayLength() > NamesMost)
            return null;

        var names = value.EnumerateArray().Select(JsonObjectBody.Text).OfType<string>().Where(IsName).Distinct().ToList();
        return names.Count == value.GetArrayLength() ? names : null;
    }

    static SortedDictionary<string, long>? Limits(JsonElement value)
    {
        if (value.ValueKind != JsonValueKind.Object || JsonObjectBody.Fields(value) is not { } fields || fields.Count > NamesMost)
            return null;

        var limits = new SortedDictionary<string, long>(StringComparer.Ordinal);
        foreach (var field in fields)
        {
            if (!IsName(field.Name) || field.Value.ValueKind != JsonValueKind.Number || !field.Value.TryGetInt64(out var limit) || limit < 0)
                return null;

            limits[field.Name] = limit;
        }

        return limits;
    }

    // With its offset: a time without one would be this machine's.
    static DateTimeOffset? Time(JsonElement value) =>
        JsonObjectBody.Text(value) is { } text && WithOffset().IsMatch(text)
        && DateTimeOffset.TryParse(text, CultureInfo.InvariantCulture, DateTimeStyles.AdjustToUniversal, out var time) && time.Year is >= 2000 and < 3000
            ? time
            : null;

    [GeneratedRegex(@"^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d{1,7})?)?(Z|[+-]\d\d:\d\d)\z")]
    private static partial Regex WithOffset();

    /// <summary>What is in force of a timeline at a moment: the last segment that has begun.</summary>
    public static TimelineSegment Current(IReadOnlyList<TimelineSegment> timeline, DateTimeOffset now) =>
        timeline.LastOrDefault(segment => segment.From <= now) ?? timeline[0];

    /// <summary>The next one after that; null when it stays so until something happens.</summary>
    public static TimelineSegment? Next(IReadOnlyList<TimelineSegment> timeline, DateTimeOffset now) => timeline.FirstOrDefault(segment => segment.From > now);

    /// <summary>The billing state as it is effective: an organization that is not active may do nothing, whatever was paid.</summary>
    public static BillingStateResult Effective(TimelineSegment segment, string lifecycle, long version)
    {
        var nothing = segment.State is "expired" or "suspended";
        return Under(lifecycle, new BillingStateResult
        {
            Capabilities = nothing ? [] : segment.Capabilities,
            Limits = segment.Limits,
            MetersEnabled = nothing ? [] : segment.MetersEnabled,
            PlanVersion = segment.PlanVersion,
            SubscriptionState = segment.State,
            TrialEndsAt = segment.TrialEndsAt,
            GraceUntil = segment.GraceUntil,
            Source = segment.Source,
            Version = version,
        });
    }

    /// <summary>What is left of a billing state by the organization's own status.</summary>
    public static BillingStateResult Under(string lifecycle, BillingStateResult state) => lifecycle == "active"
        ? state
        : state with { Capabilities = [], MetersEnabled = [], SubscriptionState = "suspended", Source = "lifecycle" };
}
