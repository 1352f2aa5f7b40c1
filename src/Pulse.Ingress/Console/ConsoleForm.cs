using System.Text;
using System.Text.Json;
using System.Text.Unicode;
using Microsoft.AspNetCore.WebUtilities;
using Microsoft.Extensions.Primitives;
using Pulse.Ingress.Http;

namespace Pulse.Ingress.Console;

/// <summary>What a form sent: text fields, each once.</summary>
sealed class ConsoleForm(IReadOnlyDictionary<string, StringValues> fields)
{
    public const string TokenField = "form_token";
    public const string KeyField = "operation_key";

    /// <summary>The one value of a field, trimmed; null when it is empty.</summary>
    public string? this[string name] => fields.TryGetValue(name, out var values) && values is [{ } only] && only.Trim() is { Length: > 0 } text ? text : null;

    /// <summary>As it was sent, spaces and all.</summary>
    public string? Raw(string name) => fields.TryGetValue(name, out var values) && values is [{ } only] ? only : null;

    /// <summary>All values of a field, as check boxes send them.</summary>
    public IReadOnlyList<string> All(string name) => fields.TryGetValue(name, out var values) ? [.. values.OfType<string>()] : [];

    /// <summary>
    /// The body that the API would be sent, so that one set of rules reads both. A number stays a text where it is none: the rule says what is wrong.
    /// </summary>
    public JsonElement Body(params IEnumerable<(string Name, bool Number)> wanted)
    {
        using var bytes = new MemoryStream();
        using (var writer = new Utf8JsonWriter(bytes))
        {
            writer.WriteStartObject();
            foreach (var (name, number) in wanted)
            {
                if (this[name] is not { } text)
                    continue;
                if (number && decimal.TryParse(text, System.Globalization.NumberStyles.AllowDecimalPoint, System.Globalization.CultureInfo.InvariantCulture, out var value))
                    writer.WriteNumber(name, value);
                else
                    writer.WriteString(name, text);
            }

            writer.WriteEndObject();
        }

        return JsonDocument.Parse(bytes.ToArray()).RootElement;
    }

    /// <summary>Null: too long, no form, or no UTF-8.</summary>
    public static async ValueTask<ConsoleForm?> ReadAsync(HttpRequest request, int limit)
    {
        if (request.ContentType is null || !request.ContentType.StartsWith("application/x-www-form-urlencoded", StringComparison.OrdinalIgnoreCase))
            return null;
        if (await LimitedBody.ReadAsync(request, limit, request.HttpContext.RequestAborted) is not { } bytes || !Utf8.IsValid(bytes))
            return null;

        var fields = QueryHelpers.ParseQuery(Encoding.UTF8.GetString(bytes));
        // Neither can be kept by Postgres, and no browser sends them.
        return fields.Values.SelectMany(values => values).Any(value => value is not null && (value.Contains('\0', StringComparison.Ordinal) || value.Contains('\uFFFD', StringComparison.Ordinal)))
            ? null
            : new ConsoleForm(fields);
    }
}
