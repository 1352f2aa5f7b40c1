using System.Globalization;
using Microsoft.Extensions.Primitives;

namespace Pulse.Ingress.Http;

/// <summary>The version that a caller saw last: If-Match, in the form of our ETags.</summary>
static class IfMatch
{
    public static string ETag(long version) => string.Create(CultureInfo.InvariantCulture, $"\"{version}\"");

    /// <summary>Reads it.</summary>
    /// <param name="header">The header.</param>
    /// <param name="version">The version that it asks for; null when it asks for none.</param>
    /// <returns>The refusal of what can't be read, and of what no version of ours ever matches.</returns>
    public static Problem? Read(StringValues header, out long? version)
    {
        version = null;
        if (header.Count == 0)
            return null;
        if (header is not [{ Length: > 0 } only] || only.Contains(',', StringComparison.Ordinal))
            return Problem.InvalidRequest("If-Match must be one ETag, such as \"7\", or *.");

        var tag = only.Trim();
        if (tag == "*")
            return null;
        // Without the quotes, as people type it: there is no other way to read it.
        if (long.TryParse(tag.Length > 2 && tag[0] == '"' && tag[^1] == '"' ? tag[1..^1] : tag, NumberStyles.None, CultureInfo.InvariantCulture, out var number))
        {
            version = number;
            return null;
        }

        return tag.StartsWith('"') || tag.StartsWith("W/\"", StringComparison.Ordinal)
            ? PreconditionFailed("It is not an ETag that Pulse gave.")
            : Problem.InvalidRequest("If-Match must be one ETag, such as \"7\", or *.");
    }

    public static Problem PreconditionFailed(string detail) =>
        new(StatusCodes.Status412PreconditionFailed, "precondition_failed", "It has changed meanwhile", detail);
}
