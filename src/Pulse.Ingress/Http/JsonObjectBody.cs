using System.Text.Json;
using System.Text.Unicode;

namespace Pulse.Ingress.Http;

/// <summary>The body of an operator's command.</summary>
static class JsonObjectBody
{
    public const int Most = 64 * 1024;

    // A field that stands twice means two things to two readers: refused. Nothing of ours is deep.
    const int Depth = 8;

    /// <summary>Reads it whole.</summary>
    /// <param name="context">Whose.</param>
    /// <param name="depth">Deeper than this is refused.</param>
    /// <returns>The object, to be disposed of, or the refusal.</returns>
    public static async ValueTask<(JsonDocument? Body, Problem? Refusal)> ReadAsync(HttpContext context, int depth = Depth)
    {
        if (!context.Request.HasJsonContentType())
            return (null, Problem.InvalidRequest("The body must be JSON, and Content-Type say so: application/json."));
        if (await LimitedBody.ReadAsync(context.Request, Most, context.RequestAborted) is not { } bytes)
            return (null, Problem.PayloadTooLarge(Most));

        return Parse(bytes, depth) is { } body ? (body, null) : (null, Problem.InvalidRequest("The body must be a JSON object, and no field may stand in it twice."));
    }

    /// <summary>Null when it is not a JSON object in UTF-8.</summary>
    public static JsonDocument? Parse(ReadOnlyMemory<byte> bytes, int depth = Depth)
    {
        // The reader decodes only the texts that are asked for.
        if (!Utf8.IsValid(bytes.Span))
            return null;

        try
        {
            var body = JsonDocument.Parse(bytes, new JsonDocumentOptions { AllowDuplicateProperties = false, MaxDepth = depth });
            if (body.RootElement.ValueKind == JsonValueKind.Object)
                return body;

            body.Dispose();
        }
        catch (Exception exception) when (exception is JsonException or InvalidOperationException)
        {
        }

        return null;
    }

    /// <summary>A text; null for another kind of value, and for one that is half of a character or has a NUL, which Postgres can't keep.</summary>
    public static string? Text(JsonElement element)
    {
        if (element.ValueKind != JsonValueKind.String)
            return null;

        try
        {
            return element.GetString() is { } text && !text.Contains('\0', StringComparison.Ordinal) ? text : null;
        }
        catch (InvalidOperationException)
        {
            return null;
        }
    }

    /// <summary>The names of its fields; null when one is no text.</summary>
    public static IReadOnlyList<JsonProperty>? Fields(JsonElement element)
    {
        try
        {
            var fields = element.EnumerateObject().ToList();
            return fields.TrueForAll(field => !field.Name.Contains('\0', StringComparison.Ordinal)) ? fields : null;
        }
        catch (InvalidOperationException)
        {
            return null;
        }
    }
}
