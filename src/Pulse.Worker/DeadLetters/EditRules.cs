using System.Text.Json;
using System.Text.Json.Nodes;

namespace Pulse.Worker.DeadLetters;

/// <summary>What is different in an edited message: a JSON pointer, and the values.</summary>
sealed record EditedPart(string Path, JsonNode? Before, JsonNode? After);

/// <summary>Edits an envelope. Pure.</summary>
static class EditRules
{
    /// <summary>The envelope with another message in it, under another id; all else stays.</summary>
    /// <returns>Null for what is no envelope.</returns>
    public static (byte[] Body, IReadOnlyList<EditedPart> Parts)? Edit(ReadOnlySpan<byte> body, JsonElement message, Guid messageId)
    {
        JsonObject envelope;
        try
        {
            if (JsonNode.Parse(body) is not JsonObject read || !read.ContainsKey("message"))
                return null;
            envelope = read;
        }
        catch (JsonException)
        {
            return null;
        }

        var before = envelope["message"];
        var after = JsonNode.Parse(message.GetRawText());
        var parts = new List<EditedPart>();
        Compare("", before, after, parts);
        envelope["message"] = after;
        envelope["messageId"] = messageId.ToString();
        // What it was known by before it was redelivered is not this message.
        if (envelope["headers"] is JsonObject headers)
            headers.Remove("MT-OriginalMessageId");
        return (JsonSerializer.SerializeToUtf8Bytes(envelope), parts);
    }

    static void Compare(string path, JsonNode? before, JsonNode? after, List<EditedPart> parts)
    {
        if (JsonNode.DeepEquals(before, after))
            return;

        switch (before, after)
        {
            case (JsonObject left, JsonObject right):
                foreach (var name in left.Select(property => property.Key).Union(right.Select(property => property.Key)).Order(StringComparer.Ordinal))
                    Compare($"{path}/{name.Replace("~", "~0", StringComparison.Ordinal).Replace("/", "~1", StringComparison.Ordinal)}", left[name], right[name], parts);
                break;

            case (JsonArray left, JsonArray right):
                for (var i = 0; i < Math.Max(left.Count, right.Count); i++)
                    Compare($"{path}/{i}", i < left.Count ? left[i] : null, i < right.Count ? right[i] : null, parts);
                break;

            default:
                parts.Add(new EditedPart(path, before?.DeepClone(), after?.DeepClone()));
                break;
        }
    }
}
