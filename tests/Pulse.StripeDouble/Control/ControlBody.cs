using System.Text.Json;
using System.Text.Json.Nodes;

namespace Pulse.StripeDouble.Control;

/// <summary>The JSON object that is posted to the control API.</summary>
sealed class ControlBody(JsonObject json)
{
    public static async Task<ControlBody> ReadAsync(Stream body)
    {
        using var reader = new StreamReader(body);
        var text = await reader.ReadToEndAsync();
        try
        {
            return new ControlBody(text.Length == 0 ? [] : JsonNode.Parse(text)!.AsObject());
        }
        catch (Exception exception) when (exception is JsonException or InvalidOperationException)
        {
            throw StripeException.Invalid("The body must be a JSON object.");
        }
    }

    public string? Text(string name) => Value<string>(name);

    public string Required(string name) => Text(name) ?? throw StripeException.Invalid($"Missing: {name}.", name);

    public int? Number(string name) => Value<int?>(name);

    public double? Share(string name) => Value<double?>(name);

    public bool? Flag(string name) => Value<bool?>(name);

    /// <summary>A number of seconds.</summary>
    public TimeSpan? Seconds(string name) => Value<double?>(name) is { } seconds ? TimeSpan.FromSeconds(seconds) : null;

    /// <summary>Unix seconds.</summary>
    public DateTimeOffset? Time(string name) => Value<long?>(name) is { } seconds ? DateTimeOffset.FromUnixTimeSeconds(seconds) : null;

    public IReadOnlyList<string>? Texts(string name) => Value<List<string>>(name);

    public IReadOnlyDictionary<string, string>? Map(string name) => Value<Dictionary<string, string>>(name);

    /// <summary>The names that an action doesn't take.</summary>
    public IReadOnlyList<string> Strangers(string takes) =>
        [.. json.Select(pair => pair.Key).Except(takes.Split(' ', StringSplitOptions.RemoveEmptyEntries).Select(name => name.TrimEnd('?')))];

    T? Value<T>(string name)
    {
        if (json[name] is not { } node)
            return default;

        try
        {
            return node.Deserialize<T>();
        }
        catch (JsonException)
        {
            throw StripeException.Invalid($"{name} is of the wrong type.", name);
        }
    }
}
