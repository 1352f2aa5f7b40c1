using System.Text.Json;
using Pulse.Ingress.Http;

namespace Pulse.Ingress.Authz;

/// <summary>AuthZEN's question, as far as Pulse asks for it: what it doesn't know it passes over, as AuthZEN wants it.</summary>
/// <param name="Capability"><c>context.capability</c>: what the organization must have, too.</param>
sealed record EvaluationRequest(string SubjectType, string SubjectId, string Action, string ResourceType, string ResourceId, string? Capability)
{
    /// <summary>Of one text.</summary>
    const int TextMost = 1024;

    /// <returns>The question, or what is wrong with it.</returns>
    public static (EvaluationRequest? Request, string? Mistake) Read(JsonElement body)
    {
        string? mistake = null;
        var subject = Object("subject");
        var action = Object("action");
        var resource = Object("resource");
        var request = new EvaluationRequest(
            Text(subject, "subject.type"), Text(subject, "subject.id"), Text(action, "action.name"), Text(resource, "resource.type"), Text(resource, "resource.id"), Capability());
        return mistake is null ? (request, null) : (null, mistake);

        JsonElement Object(string name)
        {
            if (body.TryGetProperty(name, out var value) && value.ValueKind == JsonValueKind.Object)
                return value;
            mistake ??= $"{name} must be there, and an object.";
            return default;
        }

        string Text(JsonElement entity, string path)
        {
            if (entity.ValueKind == JsonValueKind.Object && entity.TryGetProperty(path[(path.IndexOf('.', StringComparison.Ordinal) + 1)..], out var value)
                && JsonObjectBody.Text(value) is { Length: > 0 and <= TextMost } text)
                return text;
            mistake ??= $"{path} must be there, and a text of 1 to {TextMost} characters.";
            return "";
        }

        string? Capability()
        {
            if (!body.TryGetProperty("context", out var context))
                return null;
            if (context.ValueKind != JsonValueKind.Object)
            {
                mistake ??= "context must be an object.";
                return null;
            }

            if (!context.TryGetProperty("capability", out var value))
                return null;
            if (JsonObjectBody.Text(value) is { Length: > 0 and <= AuthzRules.CapabilityMost } text)
                return text;
            // Not passed over: who asks with it relies on it.
            mistake ??= $"context.capability must be a text of 1 to {AuthzRules.CapabilityMost} characters.";
            return null;
        }
    }
}
