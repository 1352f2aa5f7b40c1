using System.Buffers.Text;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace Pulse.Ingress.Http;

/// <summary>Where a list goes on: the last item's place in its order, in a form that nobody is to read anything out of.</summary>
static class Cursor
{
    const int Most = 2048;

    public static string Write(params string[] parts) => Base64Url.EncodeToString(JsonSerializer.SerializeToUtf8Bytes(parts, CursorJson.Default.StringArray));

    /// <summary>Its parts; null for what is no cursor.</summary>
    public static string[]? Read(string text)
    {
        if (text.Length > Most || !Base64Url.IsValid(text))
            return null;

        try
        {
            // NUL is what Postgres takes in no text.
            return JsonSerializer.Deserialize(Base64Url.DecodeFromChars(text), CursorJson.Default.StringArray) is { } parts
                && parts.All(part => part is not null && !part.Contains('\0', StringComparison.Ordinal))
                ? parts
                : null;
        }
        catch (JsonException)
        {
            return null;
        }
    }
}

[JsonSerializable(typeof(string[]))]
sealed partial class CursorJson : JsonSerializerContext;
