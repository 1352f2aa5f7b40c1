using System.Text.Json;

namespace Pulse.Catalog;

/// <summary>Reads the plans file, and says of each mistake where in it what is wrong.</summary>
public sealed class PlansFile
{
    const int LongestName = 100;
    const int MostGraceDays = 365;

    readonly List<string> _mistakes = [];

    PlansFile()
    {
    }

    /// <summary>Reads what is in a file.</summary>
    /// <param name="text">JSON; comments and trailing commas are allowed.</param>
    /// <param name="mistakes">Where something is wrong and what; empty when nothing is.</param>
    /// <returns>Null when there are mistakes.</returns>
    public static Plans? Parse(string text, out IReadOnlyList<string> mistakes)
    {
        var file = new PlansFile();
        mistakes = file._mistakes;
        try
        {
            using var json = JsonDocument.Parse(text, new JsonDocumentOptions { CommentHandling = JsonCommentHandling.Skip, AllowTrailingCommas = true });
            var plans = file.ReadFile(json.RootElement);
            return file._mistakes.Count == 0 ? new Plans(plans) : null;
        }
        catch (JsonException exception)
        {
            file._mistakes.Add($"line {exception.LineNumber + 1}: it is not JSON ({exception.Message.Split(". ", 2)[0]}).");
            return null;
        }
    }

    List<Plan> ReadFile(JsonElement root)
    {
        var read = new List<Plan>();
        if (!IsObject(root, "the file", ["trial", "plans"]))
            return read;

        if (root.TryGetProperty("trial", out var trial) && IsObject(trial, "trial", ["capabilities", "limits", "meters"]))
            read.Add(ReadPlan(trial, "trial", Plans.TrialVersion, []));

        if (!root.TryGetProperty("plans", out var plans) || plans.ValueKind != JsonValueKind.Array)
        {
            Mistake("plans", "must be there, a list of plans");
            return read;
        }

        var names = new Dictionary<string, string>(StringComparer.Ordinal) { [Plans.TrialVersion] = "trial" };
        var prices = new Dictionary<string, string>(StringComparer.Ordinal);
        foreach (var (index, plan) in plans.EnumerateArray().Index())
        {
            var path = $"plans[{index}]";
            if (!IsObject(plan, path, ["plan_version", "prices", "capabilities", "limits", "meters", "grace_days", "add_on"]))
                continue;

            var name = Text(plan, path, "plan_version");
            Once(names, name, $"{path}.plan_version");
            var sold = Texts(plan, path, "prices");
            if (sold.Count == 0)
                Mistake($"{path}.prices", "must name one price id or lookup key at least");
            foreach (var (at, price) in sold.Index())
                Once(prices, price, $"{path}.prices[{at}]");
            read.Add(ReadPlan(plan, path, name ?? "", sold));
        }

        return read;
    }

    Plan ReadPlan(JsonElement plan, string path, string name, IReadOnlyList<string> prices) => new()
    {
        PlanVersion = name,
        Prices = prices,
        Capabilities = Texts(plan, path, "capabilities"),
        Limits = ReadLimits(plan, path),
        Meters = Texts(plan, path, "meters"),
        GraceDays = ReadGraceDays(plan, path),
        AddOn = ReadAddOn(plan, path),
    };

    SortedDictionary<string, long> ReadLimits(JsonElement plan, string path)
    {
        var limits = new SortedDictionary<string, long>(StringComparer.Ordinal);
        if (!plan.TryGetProperty("limits", out var given) || !IsObject(given, $"{path}.limits"))
            return limits;

        foreach (var limit in given.EnumerateObject())
        {
            if (limit.Value.ValueKind == JsonValueKind.Number && limit.Value.TryGetInt64(out var value) && value >= 0)
                limits[limit.Name] = value;
            else
                Mistake($"{path}.limits.{limit.Name}", $"is {limit.Value.GetRawText()}, but must be a whole number from 0 on; leave it out for no limit");
        }

        return limits;
    }

    int ReadGraceDays(JsonElement plan, string path)
    {
        if (!plan.TryGetProperty("grace_days", out var given))
            return new Plan { PlanVersion = "" }.GraceDays;
        if (given.ValueKind == JsonValueKind.Number && given.TryGetInt32(out var days) && days is >= 0 and <= MostGraceDays)
            return days;

        Mistake($"{path}.grace_days", $"is {given.GetRawText()}, but must be a whole number from 0 to {MostGraceDays}");
        return 0;
    }

    bool ReadAddOn(JsonElement plan, string path)
    {
        if (!plan.TryGetProperty("add_on", out var given) || given.ValueKind is JsonValueKind.True or JsonValueKind.False)
            return given.ValueKind == JsonValueKind.True;

        Mistake($"{path}.add_on", $"is {given.GetRawText()}, but must be true or false");
        return false;
    }

    string? Text(JsonElement parent, string path, string name) =>
        parent.TryGetProperty(name, out var given) && IsText(given, $"{path}.{name}") ? given.GetString() : Missing(given, $"{path}.{name}");

    string? Missing(JsonElement given, string path)
    {
        if (given.ValueKind == JsonValueKind.Undefined)
            Mistake(path, "must be there");
        return null;
    }

    List<string> Texts(JsonElement parent, string path, string name)
    {
        if (!parent.TryGetProperty(name, out var given))
            return [];
        if (given.ValueKind != JsonValueKind.Array)
        {
            Mistake($"{path}.{name}", "must be a list of texts");
            return [];
        }

        var seen = new Dictionary<string, string>(StringComparer.Ordinal);
        var texts = new List<string>();
        foreach (var (index, text) in given.EnumerateArray().Index())
        {
            var at = $"{path}.{name}[{index}]";
            if (IsText(text, at) && Once(seen, text.GetString(), at))
                texts.Add(text.GetString()!);
        }

        return texts;
    }

    bool IsText(JsonElement given, string path)
    {
        if (given.ValueKind == JsonValueKind.String && given.GetString() is { Length: > 0 and <= LongestName } text
            && text.Trim() == text && !text.Any(char.IsControl))
            return true;

        Mistake(path, $"is {given.GetRawText()}, but must be a text of 1 to {LongestName} characters without spaces around it");
        return false;
    }

    // A property that nobody reads is a misspelt one, and one that is there twice is read once.
    bool IsObject(JsonElement given, string path, string[]? known = null)
    {
        if (given.ValueKind != JsonValueKind.Object)
        {
            Mistake(path, "must be an object, { … }");
            return false;
        }

        var seen = new HashSet<string>(StringComparer.Ordinal);
        foreach (var property in given.EnumerateObject())
        {
            if (!seen.Add(property.Name))
                Mistake($"{path}.{property.Name}", "is there twice");
            else if (known?.Contains(property.Name) == false)
                Mistake($"{path}.{property.Name}", $"is not known; {string.Join(", ", known)} are what there can be");
        }

        return true;
    }

    bool Once(Dictionary<string, string> seen, string? value, string path)
    {
        if (value is null || seen.TryAdd(value, path))
            return value is not null;

        Mistake(path, $"is '{value}', as {seen[value]} is");
        return false;
    }

    void Mistake(string path, string what) => _mistakes.Add($"{path} {what}.");
}
