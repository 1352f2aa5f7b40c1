using System.Text.Json;
using MassTransit.Serialization;
using Pulse.Contracts.DeadLetters;

namespace Pulse.Worker.DeadLetters;

/// <summary>Whether an edited message can be read as its type: what cannot would only fail once more. Pure.</summary>
static class EditedMessage
{
    // The messages that are ours. A name of another type comes from outside, and no type is looked up by it.
    static readonly Dictionary<string, Type> Types = typeof(EditDeadLetter).Assembly.GetExportedTypes()
        .Where(type => type is { IsClass: true, IsAbstract: false, Namespace: not null }).ToDictionary(type => $"{type.Namespace}:{type.Name}", StringComparer.Ordinal);

    // As MassTransit reads it, and a text that must be there may not be null either.
    static readonly JsonSerializerOptions Strict = new(SystemTextJsonMessageSerializer.Options) { RespectNullableAnnotations = true };

    /// <param name="messageType">Such as <c>Pulse.Contracts.Billing:SyncStripeCustomer</c>. Of one that is not ours nothing is known.</param>
    /// <param name="message">The message as it shall be.</param>
    /// <param name="parts">What is different in it.</param>
    /// <returns>What is wrong, in our own words: it is kept with the operation. Null: nothing.</returns>
    public static string? Mistake(string? messageType, JsonElement message, IReadOnlyList<EditedPart> parts)
    {
        if (messageType is null || !Types.TryGetValue(messageType, out var type))
            return null;

        var fields = type.GetProperties().Select(property => property.Name).ToHashSet(StringComparer.OrdinalIgnoreCase);
        // What it had before may be a newer build's. What is added and unknown is mistyped.
        if (parts.Any(part => part.Before is null && Field(part.Path) is { } added && !fields.Contains(added)))
            return $"A field was added that {type.Name} does not have. It has {string.Join(", ", fields.Select(JsonNamingPolicy.CamelCase.ConvertName))}.";

        try
        {
            return message.Deserialize(type, Strict) is null ? $"It is no {type.Name}." : null;
        }
        catch (JsonException exception)
        {
            var missing = type.GetProperties()
                .Where(property => property.IsDefined(typeof(System.Runtime.CompilerServices.RequiredMemberAttribute), false)
                    && !message.EnumerateObject().Any(field => string.Equals(field.Name, property.Name, StringComparison.OrdinalIgnoreCase)))
                .Select(property => JsonNamingPolicy.CamelCase.ConvertName(property.Name)).ToList();
            return missing.Count > 0
                ? $"It is no {type.Name}: {string.Join(", ", missing)} {(missing.Count == 1 ? "is" : "are")} missing."
                : $"It is no {type.Name}: {(fields.FirstOrDefault(field => IsAt(exception.Path, field)) is { } wrong ? JsonNamingPolicy.CamelCase.ConvertName(wrong) : "something")} in it can't be read.";
        }
        catch (Exception exception) when (exception is NotSupportedException or ArgumentException or FormatException)
        {
            return $"It is no {type.Name}.";
        }
    }

    static bool IsAt(string? path, string field) =>
        path is not null && path.StartsWith("$.", StringComparison.Ordinal) && path[2..].Split('.', '[')[0].Equals(field, StringComparison.OrdinalIgnoreCase);

    // Of a JSON pointer: the message's own field.
    static string? Field(string path) => path.Split('/') is ["", { Length: > 0 } field] ? field : null;
}
