using System.Text.Json.Nodes;

namespace Pulse.StripeDouble.State;

/// <summary>A subscription. Its status is an open set.</summary>
public sealed record Subscription : Resource
{
    public required string CustomerId { get; init; }
    public required string Status { get; init; }
    public required IReadOnlyList<SubscriptionItem> Items { get; init; }
    public IReadOnlyDictionary<string, string> Metadata { get; init; } = new Dictionary<string, string>();
    public required DateTimeOffset PeriodStart { get; init; }
    public required DateTimeOffset PeriodEnd { get; init; }
    public DateTimeOffset? TrialStart { get; init; }
    public DateTimeOffset? TrialEnd { get; init; }

    /// <summary>create_invoice, pause or cancel: what becomes of a trial that ends without a card.</summary>
    public string WithoutPaymentMethod { get; init; } = "create_invoice";
    public bool CancelAtPeriodEnd { get; init; }
    public DateTimeOffset? CancelAt { get; init; }
    public DateTimeOffset? CanceledAt { get; init; }
    public DateTimeOffset? EndedAt { get; init; }

    /// <summary>Of pause_collection: keep_as_draft, mark_uncollectible or void.</summary>
    public string? PauseBehavior { get; init; }
    public DateTimeOffset? PauseResumesAt { get; init; }

    /// <summary>Of status_details, while the status is paused.</summary>
    public string? PauseReason { get; init; }
    public DateTimeOffset? PausedAt { get; init; }
    public string? LatestInvoiceId { get; init; }

    /// <summary>Nothing of Stripe's: whether the next payment goes through.</summary>
    public bool Pays { get; init; } = true;

    /// <summary>Nothing of Stripe's: trial_will_end was said.</summary>
    public bool WillEndWasSaid { get; init; }

    // The rest is only in the API's list.
    const int EmbeddedItems = 10;

    public override string Owner => CustomerId;

    internal bool HasEnded => Status is "canceled" or "incomplete_expired";

    /// <summary>When time alone does something to it next.</summary>
    internal DateTimeOffset? NextBoundary
    {
        get
        {
            if (HasEnded)
                return null;

            DateTimeOffset?[] boundaries =
            [
                CancelAt,
                PauseResumesAt,
                Status == "trialing" && !WillEndWasSaid ? TrialEnd - TimeSpan.FromDays(3) : null,
                Status == "incomplete" ? Created + TimeSpan.FromHours(23) : null,
                Status is "incomplete" or "paused" ? null : PeriodEnd,
            ];
            return boundaries.Min();
        }
    }

    internal override JsonObject ToJson(View view)
    {
        var json = new JsonObject
        {
            ["id"] = Id,
            ["object"] = "subscription",
            ["application"] = null,
            ["automatic_tax"] = new JsonObject { ["enabled"] = false },
            ["billing_cycle_anchor"] = View.Seconds(PeriodStart),
            ["cancel_at"] = View.Seconds(CancelAt),
            ["cancel_at_period_end"] = CancelAtPeriodEnd,
            ["canceled_at"] = View.Seconds(CanceledAt),
            ["cancellation_details"] = new JsonObject { ["comment"] = null, ["feedback"] = null, ["reason"] = CanceledAt is null ? null : "cancellation_requested" },
            ["collection_method"] = "charge_automatically",
            ["created"] = View.Seconds(Created),
            ["currency"] = "usd",
            ["customer"] = CustomerId,
            ["days_until_due"] = null,
            ["default_payment_method"] = null,
            ["description"] = null,
            ["discounts"] = new JsonArray(),
            ["ended_at"] = View.Seconds(EndedAt),
            ["items"] = View.List($"/v1/subscription_items?subscription={Id}", Items.Take(EmbeddedItems).Select(item => Item(item, view)), Items.Count > EmbeddedItems),
            ["latest_invoice"] = LatestInvoiceId,
            ["livemode"] = view.Livemode,
            ["metadata"] = View.Map(Metadata),
            ["pause_collection"] = PauseBehavior is null ? null : new JsonObject { ["behavior"] = PauseBehavior, ["resumes_at"] = View.Seconds(PauseResumesAt) },
            ["pending_update"] = null,
            ["schedule"] = null,
            ["start_date"] = View.Seconds(Created),
            ["status"] = Status,
            ["test_clock"] = null,
            ["trial_end"] = View.Seconds(TrialEnd),
            ["trial_settings"] = new JsonObject { ["end_behavior"] = new JsonObject { ["missing_payment_method"] = WithoutPaymentMethod } },
            ["trial_start"] = View.Seconds(TrialStart),
        };
        if (PauseReason is not null)
        {
            json["status_details"] = new JsonObject
            {
                ["paused"] = new JsonObject
                {
                    ["subscription"] = new JsonObject { ["type"] = PauseReason },
                    ["transitioned_at"] = View.Seconds(PausedAt),
                    ["type"] = "subscription",
                },
            };
        }

        if (!view.Basil)
        {
            json["current_period_end"] = View.Seconds(PeriodEnd);
            json["current_period_start"] = View.Seconds(PeriodStart);
        }

        return json;
    }

    internal JsonObject Item(SubscriptionItem item, View view)
    {
        var price = view.Account.Prices.Find(item.PriceId);
        var json = new JsonObject
        {
            ["id"] = item.Id,
            ["object"] = "subscription_item",
            ["created"] = View.Seconds(Created),
            ["metadata"] = new JsonObject(),
            // The old name of a price; it has no lookup key.
            ["plan"] = new JsonObject { ["id"] = item.PriceId, ["object"] = "plan", ["active"] = price?.Active, ["amount"] = price?.UnitAmount, ["interval"] = "month", ["product"] = price?.ProductId },
            ["price"] = price?.ToJson(view),
            ["quantity"] = item.Quantity,
            ["subscription"] = Id,
        };
        if (view.Basil)
        {
            json["current_period_end"] = View.Seconds(PeriodEnd);
            json["current_period_start"] = View.Seconds(PeriodStart);
        }

        return json;
    }
}

/// <summary>One price of a subscription.</summary>
public sealed record SubscriptionItem(string Id, string PriceId, long Quantity = 1);
