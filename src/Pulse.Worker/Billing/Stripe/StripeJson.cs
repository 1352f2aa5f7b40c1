using System.Text;
using System.Text.Json;

namespace Pulse.Worker.Billing.Stripe;

/// <summary>
/// Stripe's JSON, read for what billing needs. Statuses and types are open sets, versions move fields about: what is not there, or is
/// something else than expected, is null here, and nothing throws.
/// </summary>
static class StripeJson
{
    /// <summary>A member; an element of kind Undefined where there is none.</summary>
    public static JsonElement Member(this JsonElement element, string name) =>
        element.ValueKind is JsonValueKind.Object && element.TryGetProperty(name, out var member) ? member : default;

    /// <summary>A member that is text.</summary>
    public static string? Text(this JsonElement element, string name) => Text(element.Member(name));

    /// <summary>A member that is an id, or the object with that id.</summary>
    public static string? Id(this JsonElement element, string name)
    {
        var member = element.Member(name);
        return member.ValueKind is JsonValueKind.Object ? member.Text("id") : Text(member);
    }

    public static bool? Flag(this JsonElement element, string name) =>
        element.Member(name).ValueKind switch { JsonValueKind.True => true, JsonValueKind.False => false, _ => null };

    /// <summary>Seconds since 1970, as v1 writes times, or text, as v2 does.</summary>
    public static DateTimeOffset? Time(this JsonElement element, string name)
    {
        var member = element.Member(name);
        if (member.ValueKind is JsonValueKind.Number)
            return member.TryGetInt64(out var seconds) && seconds is >= -62135596800 and <= 253402300799 ? DateTimeOffset.FromUnixTimeSeconds(seconds) : null;

        return member.ValueKind is JsonValueKind.String && member.TryGetDateTimeOffset(out var time) ? time.ToUniversalTime() : null;
    }

    /// <summary>The elements of an array, or of a list object's data; none for anything else.</summary>
    public static IEnumerable<JsonElement> Items(this JsonElement element)
    {
        var items = element.ValueKind is JsonValueKind.Object ? element.Member("data") : element;
        return items.ValueKind is JsonValueKind.Array ? items.EnumerateArray() : [];
    }

    public static StripeSubscription? Subscription(JsonElement subscription)
    {
        if (subscription.Text("id") is not { } id)
            return null;

        var items = subscription.Member("items").Items().ToList();
        var prices = items.Select(Price).OfType<StripePrice>().ToList();
        // Before there were items, and still today for one that has but one.
        if (prices.Count == 0 && Price(subscription) is { } only)
            prices.Add(only);

        var paused = subscription.Member("status_details").Member("paused");
        return new StripeSubscription
        {
            Id = id,
            Status = subscription.Text("status") ?? "",
            Prices = [.. prices.DistinctBy(price => price.Id).OrderBy(price => price.Id, StringComparer.Ordinal)],
            CreatedAt = subscription.Time("created") ?? DateTimeOffset.UnixEpoch,
            TrialEnd = subscription.Time("trial_end"),
            // On the items since 2025-03-31, on the subscription before.
            CurrentPeriodStart = items.Select(item => item.Time("current_period_start")).Max() ?? subscription.Time("current_period_start"),
            CurrentPeriodEnd = items.Select(item => item.Time("current_period_end")).Min() ?? subscription.Time("current_period_end"),
            CancelAtPeriodEnd = subscription.Flag("cancel_at_period_end") ?? false,
            CancelAt = subscription.Time("cancel_at"),
            EndedAt = subscription.Time("ended_at"),
            PauseBehavior = subscription.Member("pause_collection").Text("behavior"),
            PauseReason = paused.Member("subscription").Text("type") ?? paused.Text("type"),
            OrgId = subscription.Member("metadata").Text("org_id"),
        };
    }

    static StripePrice? Price(JsonElement item)
    {
        foreach (var price in new[] { item.Member("price"), item.Member("plan") })
        {
            if (price.ValueKind is JsonValueKind.String && Text(price) is { } id)
                return new StripePrice { Id = id };
            if (price.Text("id") is { } priceId)
                return new StripePrice { Id = priceId, LookupKey = price.Text("lookup_key"), ProductId = price.Id("product") };
        }

        return null;
    }

    public static StripeInvoice? Invoice(JsonElement invoice) => invoice.Text("id") is { } id && invoice.Text("status") is null or "open"
        ? new StripeInvoice
        {
            Id = id,
            SubscriptionId = invoice.Member("parent").Member("subscription_details").Id("subscription") ?? invoice.Id("subscription"),
            FinalizedAt = invoice.Member("status_transitions").Time("finalized_at"),
            DueDate = invoice.Time("due_date"),
        }
        : null;

    /// <summary>An event's id, type and the rest that the inbox keeps; null for what is no event.</summary>
    public static StripeEvent? Event(JsonElement element) => element.Text("id") is { } id && element.Text("type") is { } type
        ? new StripeEvent(id, type, element.Flag("livemode"), element.Text("api_version"), element.Time("created"), Encoding.UTF8.GetBytes(element.GetRawText()))
        : null;

    // Postgres takes neither NUL nor half a surrogate pair, and no id of Stripe's has one.
    static string? Text(JsonElement element)
    {
        if (element.ValueKind is not JsonValueKind.String)
            return null;

        try
        {
            return element.GetString() is { Length: > 0 and <= 500 } text && !text.Contains('\0', StringComparison.Ordinal) ? text : null;
        }
        catch (InvalidOperationException)
        {
            return null;
        }
    }
}

/// <summary>An event as Stripe's list has it.</summary>
sealed record StripeEvent(string Id, string Type, bool? Livemode, string? ApiVersion, DateTimeOffset? CreatedAt, byte[] Body);
