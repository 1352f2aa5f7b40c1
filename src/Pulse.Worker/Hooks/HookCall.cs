using System.Text.Json;

namespace Pulse.Worker.Hooks;

/// <summary>One step that the platform does: a row of <c>pulse.hook_calls</c>.</summary>
sealed record HookCall
{
    public const string Provision = "provision";
    public const string Deprovision = "deprovision";

    public required Guid CallId { get; init; }
    public required string Type { get; init; }
    public required Guid OrgId { get; init; }
    public Guid? SignupId { get; init; }
    public Guid? PurgeId { get; init; }
    public required string Status { get; init; }
    public required long Fence { get; init; }
    public DateTimeOffset? LeaseUntil { get; init; }
    public required int Attempts { get; init; }

    /// <summary>Attempts of which nobody knows whether they did anything; the one under way is counted.</summary>
    public required int Unknown { get; init; }
    public required DateTimeOffset NextAt { get; init; }
    public DateTimeOffset? Deadline { get; init; }
    public required byte[] Seed { get; init; }

    /// <summary>What the platform told afterwards: succeeded or failed.</summary>
    public string? Completion { get; init; }
    public required DateTimeOffset CreatedAt { get; init; }

    public bool IsProvision => Type == Provision;
    public bool HasEnded => Status is "succeeded" or "failed";

    /// <summary>As it is sent: the same bytes at every try.</summary>
    public byte[] Body(Uri? callback)
    {
        using var body = new MemoryStream();
        using (var json = new Utf8JsonWriter(body))
        {
            json.WriteStartObject();
            json.WriteString("type", $"tenant.{Type}");
            json.WriteString("org_id", OrgId);
            json.WriteString("requested_at", CreatedAt.UtcDateTime);
            if (callback is not null)
                json.WriteString("callback_url", callback.AbsoluteUri);
            json.WriteEndObject();
        }

        return body.ToArray();
    }
}
