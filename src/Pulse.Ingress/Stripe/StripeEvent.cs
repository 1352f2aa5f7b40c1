using System.Globalization;
using System.Text.Json;

namespace Pulse.Ingress.Stripe;

/// <summary>The few facts of an event that are stored beside its body. What it says is the worker's matter.</summary>
sealed record StripeEvent
{
    const int TextMost = 255;

    public required string Id { get; init; }

    /// <summary>What it counts under once: of a thin event that comes beside a snapshot event, that one's id.</summary>
    public required string EffectId { get; init; }
    public required string Type { get; init; }
    public bool? Livemode { get; init; }
    public string? ApiVersion { get; init; }
    public DateTime? CreatedAt { get; init; }
    public required byte[] Body { get; init; }

    /// <summary>
    /// Reads a snapshot event (<c>object: event</c>, created in seconds) or a thin one (<c>v2.core.event</c>, created as text). Of
    /// the rest anything goes, as Stripe's versions differ: what is not as expected is left out.
    /// </summary>
    /// <returns>Null when it is not one JSON object with an id and a type.</returns>
    public static StripeEvent? Parse(byte[] body)
    {
        string? id = null, type = null, version = null, snapshot = null;
        bool? livemode = null;
        DateTime? created = null;
        try
        {
            var reader = new Utf8JsonReader(body);
            if (!reader.Read() || reader.TokenType != JsonTokenType.StartObject)
                return null;

            // To the end: what comes after the last name must be JSON as well.
            while (reader.Read())
            {
                if (reader.TokenType != JsonTokenType.PropertyName)
                    continue;

                var name = NameOf(ref reader);
                reader.Read();
                switch (name)
                {
                    case Name.Id: id = Text(ref reader); break;
                    case Name.Type: type = Text(ref reader); break;
                    case Name.ApiVersion: version = Text(ref reader); break;
                    case Name.SnapshotEvent: snapshot = Text(ref reader); break;
                    case Name.Livemode: livemode = reader.TokenType is JsonTokenType.True or JsonTokenType.False ? reader.GetBoolean() : null; break;
                    case Name.Created: created = Time(ref reader); break;
                }

                reader.Skip();
            }
        }
        catch (JsonException)
        {
            return null;
        }

        return id is null || type is null ? null : new StripeEvent
        {
            Id = id,
            EffectId = snapshot ?? id,
            Type = type,
            Livemode = livemode,
            ApiVersion = version,
            CreatedAt = created,
            Body = body,
        };
    }

    enum Name
    {
        Other,
        Id,
        Type,
        ApiVersion,
        SnapshotEvent,
        Livemode,
        Created,
    }

    static Name NameOf(ref Utf8JsonReader reader) =>
        reader.ValueTextEquals("id"u8) ? Name.Id
        : reader.ValueTextEquals("type"u8) ? Name.Type
        : reader.ValueTextEquals("api_version"u8) ? Name.ApiVersion
        : reader.ValueTextEquals("snapshot_event"u8) ? Name.SnapshotEvent
        : reader.ValueTextEquals("livemode"u8) ? Name.Livemode
        : reader.ValueTextEquals("created"u8) ? Name.Created
        : Name.Other;

    // Stripe's ids, types and versions are visible ASCII. Anything else (a NUL, half a surrogate, a text without end) Postgres or
    // its index would refuse.
    static string? Text(ref Utf8JsonReader reader)
    {
        if (reader.TokenType != JsonTokenType.String)
            return null;

        try
        {
            var text = reader.GetString()!;
            return text.Length is > 0 and <= TextMost && !text.AsSpan().ContainsAnyExceptInRange('!', '~') ? text : null;
        }
        catch (InvalidOperationException)
        {
            // No text at all: half a surrogate, bytes that are not UTF-8.
            return null;
        }
    }

    static DateTime? Time(ref Utf8JsonReader reader)
    {
        if (reader.TokenType == JsonTokenType.Number && reader.TryGetInt64(out var seconds) && seconds is >= 0 and < 253_402_300_800)
            return DateTimeOffset.FromUnixTimeSeconds(seconds).UtcDateTime;

        return Text(ref reader) is { } text
            && DateTimeOffset.TryParse(text, CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal, out var time)
                ? time.UtcDateTime
                : null;
    }
}
