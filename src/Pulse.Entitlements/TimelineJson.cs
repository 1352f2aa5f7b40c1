using System.Collections.Concurrent;
using System.Collections.Frozen;
using System.Text.Json;

namespace Pulse.Entitlements;

/// <summary>Reads <c>entitlements_v1.timeline</c>. What many organizations have alike, as a plan's capabilities, is kept once.</summary>
sealed class TimelineJson
{
    // Plans are few. Somebody whose plans are not pays with memory, and not with a leak.
    const int AlikeMost = 10_000;

    readonly ConcurrentDictionary<string, object> _alike = new(StringComparer.Ordinal);

    /// <exception cref="JsonException">It is not what version 1 of the view promises.</exception>
    public Timeline Parse(string json)
    {
        try
        {
            using var document = JsonDocument.Parse(json);
            var segments = new List<Segment>();
            foreach (var element in document.RootElement.EnumerateArray())
            {
                // A trial without an end is followed by a segment that begins never.
                if (Time(element.GetProperty("from")) is { } from)
                    segments.Add(Read(element, from));
            }

            return new Timeline(segments);
        }
        catch (Exception exception) when (exception is InvalidOperationException or KeyNotFoundException or FormatException)
        {
            throw new JsonException("The timeline is not as entitlements_v1 has it.", exception);
        }
    }

    Segment Read(JsonElement element, DateTimeOffset from)
    {
        var state = Alike(element.GetProperty("state").GetString()!);
        return new Segment
        {
            From = from.UtcTicks,
            State = state,
            Access = state is "trial" or "active" or "grace",
            PlanVersion = Alike(element.GetProperty("plan_version").GetString()!),
            Capabilities = Alike("c", element.GetProperty("capabilities"), array => Texts(array).ToFrozenSet(StringComparer.Ordinal)),
            Limits = Alike("l", element.GetProperty("limits"), limits => limits.EnumerateObject().ToFrozenDictionary(limit => limit.Name, limit => limit.Value.GetInt64(), StringComparer.Ordinal)),
            Meters = Alike("m", element.GetProperty("meters_enabled"), array => Texts(array).ToArray()),
            TrialEndsAt = Optional(element, "trial_ends_at"),
            GraceUntil = Optional(element, "grace_until"),
            Source = Alike(element.GetProperty("source").GetString()!),
        };
    }

    static IEnumerable<string> Texts(JsonElement array) => array.EnumerateArray().Select(text => text.GetString()!);

    static DateTimeOffset? Optional(JsonElement element, string name) => element.TryGetProperty(name, out var value) ? Time(value) : null;

    static DateTimeOffset? Time(JsonElement value) => value.ValueKind == JsonValueKind.Null ? null : value.GetDateTimeOffset().ToUniversalTime();

    string Alike(string text) => (string)Alike("s" + text, text);

    T Alike<T>(string kind, JsonElement element, Func<JsonElement, T> read)
        where T : class
    {
        var key = kind + element.GetRawText();
        return _alike.TryGetValue(key, out var known) ? (T)known : (T)Alike(key, read(element));
    }

    object Alike(string key, object value) => _alike.Count < AlikeMost ? _alike.GetOrAdd(key, value) : _alike.GetValueOrDefault(key, value);
}
