using System.Globalization;
using Microsoft.AspNetCore.Http;

namespace Pulse.StripeDouble.Api;

/// <summary>What a request says, in its query or form: names with brackets, such as <c>metadata[org_id]</c> and <c>items[0][price]</c>.</summary>
sealed class Parameters
{
    readonly List<KeyValuePair<string, string>> _all;

    Parameters(IEnumerable<KeyValuePair<string, string>> all) => _all = [.. all];

    public static async Task<Parameters> ReadAsync(HttpRequest request)
    {
        var all = from pair in request.Query from value in pair.Value select KeyValuePair.Create(pair.Key, value ?? "");
        if (request.HasFormContentType)
        {
            var form = await request.ReadFormAsync();
            all = all.Concat(from pair in form from value in pair.Value select KeyValuePair.Create(pair.Key, value ?? ""));
        }

        return new Parameters(all);
    }

    /// <summary>The same for the same parameters, whatever their order.</summary>
    public string Fingerprint => string.Join('&', _all.Select(pair => $"{pair.Key}={pair.Value}").Order(StringComparer.Ordinal));

    /// <summary>Refuses what the endpoint does not know, as Stripe does.</summary>
    public void Allow(string names)
    {
        var allowed = names.Split(' ', StringSplitOptions.RemoveEmptyEntries);
        foreach (var (name, _) in _all)
        {
            if (!allowed.Contains(name.Split('[')[0]))
                throw StripeException.Invalid($"Received unknown parameter: {name}", name, "parameter_unknown");
        }
    }

    /// <summary>The value of a name; an empty one is none.</summary>
    public string? Text(string name) => _all.FirstOrDefault(pair => pair.Key == name).Value is { Length: > 0 } value ? value : null;

    public string Required(string name) => Text(name) ?? throw StripeException.Invalid($"Missing required param: {name}.", name, "parameter_missing");

    public bool Has(string name) => _all.Any(pair => pair.Key == name);

    public long? Number(string name) => Text(name) is not { } text ? null
        : long.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var number) ? number
        : throw StripeException.Invalid($"Invalid integer: {text}", name, "parameter_invalid_integer");

    public bool? Flag(string name) => Text(name) switch
    {
        null => null,
        "true" => true,
        "false" => false,
        var text => throw StripeException.Invalid($"Invalid boolean: {text}", name),
    };

    public DateTimeOffset? Time(string name) => Number(name) is { } seconds ? DateTimeOffset.FromUnixTimeSeconds(seconds) : null;

    /// <summary><c>metadata[org_id]</c> → org_id. Null when there is none of it.</summary>
    public Dictionary<string, string>? Map(string name)
    {
        var map = _all.Where(pair => pair.Key.StartsWith(name + "[", StringComparison.Ordinal) && pair.Key.EndsWith(']'))
            .ToDictionary(pair => pair.Key[(name.Length + 1)..^1], pair => pair.Value);
        return map.Count == 0 ? null : map;
    }

    /// <summary><c>types[]</c> or <c>types[0]</c>, <c>types[1]</c> …</summary>
    public IReadOnlyList<string> List(string name) =>
        [.. _all.Where(pair => pair.Key.StartsWith(name + "[", StringComparison.Ordinal) && pair.Key.IndexOf(']', name.Length) == pair.Key.Length - 1).Select(pair => pair.Value)];

    /// <summary><c>items[0][price]</c>, <c>items[1][price]</c> … of one field.</summary>
    public IReadOnlyList<string> Each(string name, string field) =>
        [.. _all.Where(pair => pair.Key.StartsWith(name + "[", StringComparison.Ordinal) && pair.Key.EndsWith($"][{field}]", StringComparison.Ordinal)).Select(pair => pair.Value)];

    /// <summary><c>created</c>, or <c>created[gte]</c> and the like.</summary>
    public Func<DateTimeOffset, bool> Range(string name)
    {
        var (exact, gte, gt, lte, lt) = (Time(name), Time($"{name}[gte]"), Time($"{name}[gt]"), Time($"{name}[lte]"), Time($"{name}[lt]"));
        return time => (exact is null || time == exact) && (gte is null || time >= gte) && (gt is null || time > gt) && (lte is null || time <= lte) && (lt is null || time < lt);
    }
}
