using System.Text.Json;
using Pulse.Ingress.Http;

namespace Pulse.Ingress.Admin;

/// <summary>What is said with a verb: <c>operations.request</c>.</summary>
sealed record LifecycleRequest
{
    public string? Reason { get; init; }
    public int? RetentionDays { get; init; }

    /// <summary>False: purged without an export.</summary>
    public bool? Export { get; init; }

    /// <summary>Of a confirmation: what the dry run said.</summary>
    public string? Hash { get; init; }
}

/// <summary>What the body of a verb must look like. A null is as good as left out.</summary>
static class LifecycleRules
{
    public const int ReasonMost = 500;
    public const int RetentionDaysDefault = 30;
    public const int RetentionDaysLeast = 1;
    public const int RetentionDaysMost = 3650;

    public delegate LifecycleRequest? Parse(JsonElement? body, out Problem? invalid);

    public static LifecycleRequest? Nothing(JsonElement? body, out Problem? invalid) =>
        OnlyHas(body, out invalid) ? new LifecycleRequest() : null;

    public static LifecycleRequest? Confirm(JsonElement? body, out Problem? invalid)
    {
        if (!OnlyHas(body, out invalid, "hash"))
            return null;
        if (Find(body, "hash") is { } value && JsonObjectBody.Text(value) is { Length: 64 } hash && hash.All(char.IsAsciiHexDigitLower))
            return new LifecycleRequest { Hash = hash };

        invalid = Invalid("hash", "hash is required: what the dry run said, 64 digits.");
        return null;
    }

    public static LifecycleRequest? Suspend(JsonElement? body, out Problem? invalid)
    {
        if (!OnlyHas(body, out invalid, "reason"))
            return null;

        var reason = Reason(body, out invalid);
        return invalid is null ? new LifecycleRequest { Reason = reason } : null;
    }

    public static LifecycleRequest? Hold(JsonElement? body, out Problem? invalid)
    {
        if (!OnlyHas(body, out invalid, "reason"))
            return null;

        var reason = Reason(body, out invalid);
        if (invalid is null && reason is null)
            invalid = Invalid("reason", "A legal hold needs a reason.");
        return invalid is null ? new LifecycleRequest { Reason = reason } : null;
    }

    public static LifecycleRequest? SoftDelete(JsonElement? body, out Problem? invalid)
    {
        if (!OnlyHas(body, out invalid, "retention_days", "export"))
            return null;

        bool? export = null;
        if (Find(body, "export") is { } said)
        {
            if (said.ValueKind is not (JsonValueKind.True or JsonValueKind.False))
            {
                invalid = Invalid("export", "export is true or false.");
                return null;
            }

            // True is what holds without a word.
            export = said.GetBoolean() ? null : false;
        }

        if (Find(body, "retention_days") is not { } value)
            return new LifecycleRequest { RetentionDays = RetentionDaysDefault, Export = export };
        if (value.ValueKind == JsonValueKind.Number && value.TryGetInt32(out var days) && days is >= RetentionDaysLeast and <= RetentionDaysMost)
            return new LifecycleRequest { RetentionDays = days, Export = export };

        var message = $"retention_days is a whole number from {RetentionDaysLeast} to {RetentionDaysMost}.";
        invalid = new Problem(StatusCodes.Status400BadRequest, "invalid_retention_days", "The retention is not valid", message)
        {
            Errors = new Dictionary<string, string[]> { ["retention_days"] = [message] },
        };
        return null;
    }

    static string? Reason(JsonElement? body, out Problem? invalid)
    {
        invalid = null;
        if (Find(body, "reason") is not { } value)
            return null;
        if (JsonObjectBody.Text(value)?.Trim() is { Length: <= ReasonMost } reason && !reason.Any(char.IsControl))
            return reason.Length == 0 ? null : reason;

        invalid = Invalid("reason", $"reason is a text of up to {ReasonMost} characters, without control characters.");
        return null;
    }

    // A misspelt field must not be a default in silence: this deletes.
    static bool OnlyHas(JsonElement? body, out Problem? invalid, params ReadOnlySpan<string> known)
    {
        invalid = null;
        if (body is not { } element)
            return true;
        if (JsonObjectBody.Fields(element) is not { } fields)
            invalid = Problem.InvalidRequest("A field's name is no text.");
        else
        {
            foreach (var field in fields)
            {
                if (!known.Contains(field.Name))
                    invalid = Problem.InvalidRequest(known.IsEmpty ? "Nothing is said with this." : $"{string.Join(" and ", known!)} is all that is said with this.");
            }
        }

        return invalid is null;
    }

    static JsonElement? Find(JsonElement? body, string field) =>
        body?.TryGetProperty(field, out var value) == true && value.ValueKind != JsonValueKind.Null ? value : null;

    static Problem Invalid(string field, string message) =>
        Problem.InvalidRequest(message) with { Errors = new Dictionary<string, string[]> { [field] = [message] } };
}
