using System.Text.Json.Nodes;
using Pulse.StripeDouble.State;

namespace Pulse.StripeDouble.Api;

/// <summary>Stripe's cursor paging: the newest first; a page begins after an object, or ends before it.</summary>
static class Page
{
    public const string Allowed = "limit starting_after ending_before";

    /// <summary>One page of a list.</summary>
    /// <param name="call">The request, with its cursor.</param>
    /// <param name="kind">What an unknown cursor is said to be.</param>
    /// <param name="shelf">Where the cursor is looked up.</param>
    /// <param name="owner">The customer that the list is of, or null.</param>
    /// <param name="wanted">Which of them are in the list.</param>
    public static JsonObject Of<T>(ApiCall call, string kind, Shelf<T> shelf, string? owner, Func<T, bool> wanted) where T : Resource
    {
        var limit = (int)(call.Parameters.Number("limit") ?? 10);
        if (limit is < 1 or > 100)
            throw StripeException.Invalid("Invalid limit: must be between 1 and 100.", "limit");

        var (after, before) = (call.Parameters.Text("starting_after"), call.Parameters.Text("ending_before"));
        if (after is not null && before is not null)
            throw StripeException.Invalid("You cannot use both starting_after and ending_before.", "ending_before");

        // The shelf's order is the oldest first.
        var all = shelf.Of(owner);
        var page = new List<T>(limit + 1);
        if (before is not null)
        {
            for (var at = Place(all, shelf.Get(before, kind, "ending_before")) is var place && place >= 0 ? place + 1 : ~place; at < all.Count && page.Count <= limit; at++)
            {
                if (wanted(all[at]))
                    page.Add(all[at]);
            }
        }
        else
        {
            var start = all.Count - 1;
            if (after is not null)
                start = (Place(all, shelf.Get(after, kind, "starting_after")) is var place && place >= 0 ? place : ~place) - 1;
            for (var at = start; at >= 0 && page.Count <= limit; at--)
            {
                if (wanted(all[at]))
                    page.Add(all[at]);
            }
        }

        var more = page.Count > limit;
        if (more)
            page.RemoveAt(limit);
        if (before is not null)
            page.Reverse();
        return View.List(call.Path, page.Select(resource => resource.ToJson(call.View)), more);
    }

    static int Place<T>(IReadOnlyList<T> all, T cursor) where T : Resource => Shelf<T>.IndexOf(all, cursor.Sequence);
}
