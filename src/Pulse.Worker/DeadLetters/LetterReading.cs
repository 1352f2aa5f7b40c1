using System.Collections;
using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using System.Text.RegularExpressions;
using Pulse.Messaging.DeadLetters;
using RabbitMQ.Client;

namespace Pulse.Worker.DeadLetters;

/// <summary>
/// Makes a dead letter of whatever lies in a dead-letter queue. Nothing that it gets makes it fail: what can't be understood is kept as it is. Pure.
/// </summary>
static partial class LetterReading
{
    /// <summary>As large as RabbitMQ lets a message be by default.</summary>
    public const int MostBody = 16 << 20;

    /// <summary>Of a larger one.</summary>
    const int KeptOfLarger = 64 << 10;

    const int MostType = 500;
    const int MostMessage = 8 << 10;
    const int MostStack = 32 << 10;
    const int MostHeader = 32 << 10;
    const int MostHeaders = 128 << 10;
    const int MostIds = 64;

    public const string ReplayHeader = "Pulse-Replay-Id";

    public static Letter Read(DeadLetterDelivery delivery)
    {
        var headers = delivery.Headers;
        var (envelope, messageId, type, orgId) = Envelope(delivery.Body);
        var exceptionType = Text(headers, "MT-Fault-ExceptionType", MostType);
        var message = Text(headers, "MT-Fault-Message", MostMessage);
        var stack = Text(headers, "MT-Fault-StackTrace", MostStack);
        var (died, diedKey) = Death(headers);
        var reason = delivery.IsSkipped ? "skipped"
            : exceptionType is not null ? "fault"
            : Text(headers, "x-first-death-reason", MostType) == "delivery_limit" ? "delivery_limit"
            : "other";
        var normal = Fingerprint.Normalise(stack);
        var messageType = type is null ? null : Clean(type, MostType);
        var failedText = Text(headers, "MT-Fault-Timestamp", 64);
        var failedAt = DateTimeOffset.TryParse(failedText, CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal | DateTimeStyles.AdjustToUniversal, out var at)
            ? at : died;
        var digest = Digest(delivery);

        return new Letter
        {
            Queue = Clean(delivery.Endpoint, MostType),
            // The inbox knows a redelivered message by its first id.
            MessageId = Id(Text(headers, "MT-OriginalMessageId", 64)) ?? messageId ?? Id(delivery.MessageId) ?? IdOf(digest),
            Reason = reason,
            IsEnvelope = envelope,
            MessageType = messageType,
            ExceptionType = exceptionType,
            ExceptionMessage = message,
            Stack = stack,
            Fingerprint = Fingerprint.Of(reason, exceptionType, normal, messageType),
            NormalStack = normal,
            OrgId = orgId,
            Ids = Ids(delivery, message),
            ContentType = Clean(delivery.ContentType is { Length: > 0 } contentType ? contentType
                // As MassTransit takes one that says nothing.
                : envelope ? "application/vnd.masstransit+json" : "application/octet-stream", MostType),
            Headers = HeadersOf(headers),
            Body = delivery.Body.Length <= MostBody ? delivery.Body.ToArray() : delivery.Body[..KeptOfLarger].ToArray(),
            BodyBytes = delivery.Body.Length,
            FailedAt = failedAt is { } time ? Whole(time) : null,
            Failure = failedText is { Length: > 0 } ? failedText : diedKey ?? $"bytes {Convert.ToHexStringLower(digest)}",
            ReplayId = Id(Text(headers, ReplayHeader, 64)),
            Host = Text(headers, "MT-Host-MachineName", MostType),
        };
    }

    // No more than Postgres keeps.
    static DateTimeOffset Whole(DateTimeOffset time) => time.AddTicks(-(time.Ticks % TimeSpan.TicksPerMicrosecond));

    static Guid? Id(string? text) => Guid.TryParse(text, out var id) ? id : null;

    /// <summary>The envelope's parts, as far as it is one.</summary>
    static (bool IsEnvelope, Guid? MessageId, string? Type, Guid? OrgId) Envelope(ReadOnlyMemory<byte> body)
    {
        try
        {
            using var json = JsonDocument.Parse(body);
            var root = json.RootElement;
            if (root.ValueKind != JsonValueKind.Object || !root.TryGetProperty("messageType", out var types) || types.ValueKind != JsonValueKind.Array
                || !root.TryGetProperty("message", out var message))
                return default;

            var type = types.EnumerateArray().Where(type => type.ValueKind == JsonValueKind.String).Select(type => type.GetString()).FirstOrDefault();
            return (true,
                Id(root.TryGetProperty("messageId", out var id) && id.ValueKind == JsonValueKind.String ? id.GetString() : null),
                type is not null && type.StartsWith("urn:message:", StringComparison.Ordinal) ? type["urn:message:".Length..] : type,
                OrgIdOf(message));
        }
        catch (Exception exception) when (exception is JsonException or InvalidOperationException)
        {
            // Not JSON, or text in it that is no text.
            return default;
        }
    }

    /// <summary>The organization that a message names.</summary>
    public static Guid? OrgIdOf(JsonElement message)
    {
        if (message.ValueKind != JsonValueKind.Object)
            return null;
        foreach (var property in message.EnumerateObject())
        {
            if ((property.NameEquals("orgId") || property.NameEquals("OrgId") || property.NameEquals("org_id")) && property.Value.ValueKind == JsonValueKind.String)
                return Id(property.Value.GetString());
        }

        return null;
    }

    /// <summary>What the broker says of a message that it moved by itself: when, and which of its deaths this is.</summary>
    static (DateTimeOffset? At, string? Key) Death(IReadOnlyDictionary<string, object?> headers)
    {
        if (!headers.TryGetValue("x-death", out var deaths) || deaths is not IEnumerable list || deaths is string or byte[])
            return default;
        foreach (var death in list.OfType<IDictionary<string, object?>>())
        {
            if (death.TryGetValue("time", out var time) && time is AmqpTimestamp stamp)
            {
                var count = death.TryGetValue("count", out var value) ? value : null;
                return (DateTimeOffset.FromUnixTimeSeconds(Math.Clamp(stamp.UnixTime, 0, 253402300799)), string.Create(CultureInfo.InvariantCulture, $"death {stamp.UnixTime} {count}"));
            }
        }

        return default;
    }

    // The same for each delivery of one message: what the broker counts up is left out.
    static byte[] Digest(DeadLetterDelivery delivery)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        hash.AppendData(delivery.Body.Span);
        foreach (var (name, value) in delivery.Headers.Where(header => !CountedByBroker(header.Key)).OrderBy(header => header.Key, StringComparer.Ordinal))
            hash.AppendData(Encoding.UTF8.GetBytes($"\n{name}\n{JsonSerializer.Serialize(Value(value, 0))}"));
        hash.AppendData(Encoding.UTF8.GetBytes($"\n{delivery.MessageId}\n{delivery.Endpoint}\n{delivery.IsSkipped}"));
        return hash.GetHashAndReset();
    }

    static bool CountedByBroker(string header) => header is "x-delivery-count" or "x-acquired-count";

    // Version 8: of our own making.
    static Guid IdOf(byte[] digest)
    {
        var bytes = digest.AsSpan(0, 16).ToArray();
        bytes[6] = (byte)((bytes[6] & 0x0f) | 0x80);
        bytes[8] = (byte)((bytes[8] & 0x3f) | 0x80);
        return new Guid(bytes, bigEndian: true);
    }

    static Guid[] Ids(DeadLetterDelivery delivery, string? exceptionMessage)
    {
        var body = delivery.Body.Length <= MostBody ? delivery.Body : delivery.Body[..KeptOfLarger];
        return IdsIn([
            .. delivery.Headers.Values.Select(value => value is byte[] bytes ? Encoding.UTF8.GetString(bytes) : value as string),
            exceptionMessage, delivery.MessageId, Encoding.UTF8.GetString(body.Span)]);
    }

    /// <summary>Every UUID that occurs in texts, up to 64.</summary>
    public static Guid[] IdsIn(params IEnumerable<string?> texts)
    {
        var ids = new HashSet<Guid>();
        foreach (var text in texts)
        {
            if (text is null)
                continue;
            foreach (var match in Uuid().EnumerateMatches(text))
            {
                ids.Add(Guid.Parse(text.AsSpan(match.Index, match.Length)));
                if (ids.Count == MostIds)
                    return [.. ids];
            }
        }

        return [.. ids];
    }

    static string HeadersOf(IReadOnlyDictionary<string, object?> headers)
    {
        var kept = new SortedDictionary<string, object?>(StringComparer.Ordinal);
        var size = 0;
        foreach (var (name, value) in headers.Where(header => !CountedByBroker(header.Key)).OrderBy(header => header.Key, StringComparer.Ordinal))
        {
            var read = Value(value, 0);
            size += name.Length + (read as string)?.Length ?? 64;
            if (size > MostHeaders)
                break;
            kept[Clean(name, MostType)] = read;
        }

        return JsonSerializer.Serialize(kept);
    }

    /// <summary>An AMQP value as JSON has it.</summary>
    static object? Value(object? value, int depth) => value switch
    {
        null or bool => value,
        sbyte or byte or short or ushort or int or uint or long => value,
        float single => double.IsFinite(single) ? (double)single : null,
        double number => double.IsFinite(number) ? number : null,
        decimal number => number,
        string text => Clean(text, MostHeader),
        byte[] bytes => Clean(Encoding.UTF8.GetString(bytes), MostHeader),
        AmqpTimestamp time => new Dictionary<string, object?> { ["unix_time"] = time.UnixTime },
        _ when depth > 4 => null,
        IDictionary<string, object?> table => table.Take(64).GroupBy(entry => Clean(entry.Key, MostType)).ToDictionary(entry => entry.Key, entry => Value(entry.First().Value, depth + 1)),
        IEnumerable list => list.Cast<object?>().Take(64).Select(item => Value(item, depth + 1)).ToList(),
        _ => Clean(Convert.ToString(value, CultureInfo.InvariantCulture) ?? "", MostHeader),
    };

    static string? Text(IReadOnlyDictionary<string, object?> headers, string name, int most) =>
        headers.TryGetValue(name, out var value) && Value(value, 0) is { } read and (string or long or int or bool)
            ? Clean(Convert.ToString(read, CultureInfo.InvariantCulture)!, most)
            : null;

    /// <summary>A text that Postgres can hold, no longer than it may be: without NUL, and without halves of characters.</summary>
    internal static string Clean(string text, int most)
    {
        if (text.Length <= most && !text.AsSpan().ContainsAny(Odd))
            return text;

        var clean = new StringBuilder(Math.Min(text.Length, most));
        foreach (var rune in text.EnumerateRunes())
        {
            if (clean.Length + rune.Utf16SequenceLength > most)
            {
                clean.Length = Math.Min(clean.Length, most - 1);
                if (clean.Length > 0 && char.IsHighSurrogate(clean[^1]))
                    clean.Length--;
                return clean.Append('…').ToString();
            }

            // What is no character is U+FFFD already.
            clean.Append(rune.Value == 0 ? "\uFFFD" : rune.ToString());
        }

        return clean.ToString();
    }

    // NUL, and every surrogate: pairs are looked at one by one.
    static readonly System.Buffers.SearchValues<char> Odd = System.Buffers.SearchValues.Create(['\0', .. Enumerable.Range(0xD800, 0x800).Select(code => (char)code)]);

    [GeneratedRegex(@"(?<![0-9a-fA-F])[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}(?![0-9a-fA-F])")]
    private static partial Regex Uuid();
}
