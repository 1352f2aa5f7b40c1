using System.Text.Json;
using Pulse.Ingress.Http;

namespace Pulse.Ingress.Hooks;

/// <summary>What the platform tells of a call that it took for later.</summary>
/// <param name="Status">succeeded or failed.</param>
/// <param name="Reason">For who looks into it; null when none was said.</param>
sealed record HookCompletion(string Status, string? Reason)
{
    public const int ReasonMost = 500;

    /// <summary>Null when it is not of that form. Fields that Pulse doesn't know may be there: the platform may be newer.</summary>
    public static HookCompletion? Parse(ReadOnlyMemory<byte> body)
    {
        using var json = JsonObjectBody.Parse(body);
        if (json is null || JsonObjectBody.Fields(json.RootElement) is not { } fields)
            return null;

        var status = fields.FirstOrDefault(field => field.NameEquals("status")) is { Value.ValueKind: not JsonValueKind.Undefined } found ? JsonObjectBody.Text(found.Value) : null;
        if (status is not ("succeeded" or "failed"))
            return null;

        if (fields.FirstOrDefault(field => field.NameEquals("reason")) is not { Value.ValueKind: not JsonValueKind.Undefined } given || given.Value.ValueKind == JsonValueKind.Null)
            return new HookCompletion(status, null);

        return JsonObjectBody.Text(given.Value) is { Length: <= ReasonMost } reason ? new HookCompletion(status, reason) : null;
    }
}

/// <summary>The answer to who completes a call.</summary>
/// <param name="Status">What counts now.</param>
sealed record HookReceipt(string Status);
