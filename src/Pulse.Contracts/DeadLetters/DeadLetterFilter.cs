using System.Text.Json.Serialization;

namespace Pulse.Contracts.DeadLetters;

/// <summary>
/// Which dead letters: the argument of <c>pulse.find_dead_letters</c>, for a list and for a plan alike. What is left out does not matter; what is
/// given must all hold.
/// </summary>
/// <remarks>Not a message, but read by another build than wrote it all the same: add to it, change nothing.</remarks>
public sealed record DeadLetterFilter
{
    /// <summary>The queue that failed, without _error or _skipped.</summary>
    [JsonPropertyName("queue"), JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public string? Queue { get; init; }

    /// <summary>The message's type, such as <c>Pulse.Contracts.Billing:SyncStripeCustomer</c>.</summary>
    [JsonPropertyName("message_type"), JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public string? MessageType { get; init; }

    /// <summary>The exception's whole type name.</summary>
    [JsonPropertyName("exception_type"), JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public string? ExceptionType { get; init; }

    /// <summary>A group's.</summary>
    [JsonPropertyName("fingerprint"), JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public string? Fingerprint { get; init; }

    /// <summary>fault, skipped, delivery_limit or other.</summary>
    [JsonPropertyName("reason"), JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public string? Reason { get; init; }

    /// <summary>The organization that the message is about.</summary>
    [JsonPropertyName("org_id"), JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public Guid? OrgId { get; init; }

    /// <summary>Any UUID that occurs in the message: its own id, a signup's, an operation's.</summary>
    [JsonPropertyName("id"), JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public Guid? Id { get; init; }

    /// <summary>One or more of <see cref="DeadLetterStatus"/>; none given is any.</summary>
    [JsonPropertyName("status"), JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public IReadOnlyList<string>? Status { get; init; }

    /// <summary>Failed last at this time or later, UTC.</summary>
    [JsonPropertyName("failed_from"), JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public DateTimeOffset? FailedFrom { get; init; }

    /// <summary>Failed last before this time, UTC.</summary>
    [JsonPropertyName("failed_until"), JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public DateTimeOffset? FailedUntil { get; init; }

    /// <summary>Words that all occur in the exception, the message's type or the queue.</summary>
    [JsonPropertyName("text"), JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public string? Text { get; init; }
}
