using System.Text.Json;
using Pulse.Ingress.Http;

namespace Pulse.Ingress.Admin;

/// <summary>What is said with a verb: <c>operations.request</c>.</summary>
sealed record LifecycleRequest
{
    public string? Reason { get; init; }
    public int? RetentionDays { get; init; }
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
        OnlyHas(body, null, out invalid) ? new LifecycleRequest() : null;

    public static LifecycleRequest? Suspend(JsonElement? body, out Problem? invalid)
    {
        if (!OnlyHas(body, "reason", out invalid))
            return null;

        var reason = Reason(body, out invalid);
        return invalid is null ? new LifecycleRequest { Reason = reason } : null;
    }

    public static LifecycleRequest? Hold(JsonElement? body, out Problem? invalid)
    {
        if (!OnlyHas(body, "reason", out invalid))
            return null;

        var reason = Reason(body, out invalid);
        if (invalid is null && reason is null)
            invalid = Invalid("reason", "A legal hold needs a reason.");
        return invalid is null ? new LifecycleRequest { Reason = reason } : null;
    }

    public static LifecycleRequest? SoftDelete(JsonElement? body, out Problem? invalid)
    {
        if (!OnlyHas(body, "retention_days", out invalid))
            return null;
        if (Find(body, "retention_days") is not { } value)
            return new LifecycleRequest { RetentionDays = RetentionDaysDefault };
        if (value.ValueKind == JsonValueKind.Number && value.TryGetInt32(out var days) && days is >= RetentionDaysLeast and <= RetentionDaysMost)
            return new LifecycleRequest { RetentionDays = days };

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
    static bool OnlyHas(JsonElement? body, string? field, out Problem? invalid)
    {
        invalid = null;
        if (body is not { } element)
            return true;
        if (JsonObjectBody.Fields(element) is not { } fields)
            invalid = Problem.InvalidRequest("A field's name is no text.");
        else if (fields.FirstOrDefault(one => one.Name != field) is { Value.ValueKind: not JsonValueKind.Undefined } other)
            invalid = Problem.InvalidRequest(field is null ? "Nothing is said with this." : $"{field} is all that is said with this.");

        return invalid is null;
    }

    static JsonElement? Find(JsonElement? body, string field) =>
        body?.TryGetProperty(field, out var value) == true && value.ValueKind != JsonValueKind.Null ? value : null;

    static Problem Invalid(string field, string message) =>
        Problem.InvalidRequest(message) with { Errors = new Dictionary<string, string[]> { [field] = [message] } };
}
