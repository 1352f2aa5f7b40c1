using System.Text.Json.Nodes;
using Pulse.StripeDouble.Api;
using Pulse.StripeDouble.Webhooks;

namespace Pulse.StripeDouble.Control;

/// <summary>What happens between the account and those who hear of it: events, faults, counts.</summary>
static class DeliveryActions
{
    public static IReadOnlyList<ControlAction> All { get; } =
    [
        new("events/undelivered", "", "The events that no endpoint, or not every one, has taken.", (server, _) =>
            Done(new JsonArray([.. server.Webhooks.Undelivered().Select(left => (JsonNode)new JsonObject { ["id"] = left.Id, ["type"] = left.Type, ["customer"] = left.CustomerId })]))),
        new("events/deliver", "ids", "Sends these events in this order, as often as they are named; answers with the status of each post.", async (server, body) =>
            new JsonArray([.. (await server.Webhooks.DeliverAsync(body.Texts("ids") ?? [])).Select(status => (JsonNode)status)])),
        new("events/quiet", "seconds?", "Waits until nothing is on its way.", async (server, body) =>
        {
            try
            {
                await server.Webhooks.QuietAsync(body.Seconds("seconds") ?? TimeSpan.FromSeconds(30));
            }
            catch (TimeoutException exception)
            {
                throw new StripeException(504, "api_error", exception.Message);
            }

            return server.Webhooks.Sent;
        }),

        new("webhooks/set", "urls? secrets? payload? by_itself?", "Where events go, with which secrets, as snapshot, thin or both; by_itself false: only by events/deliver.", (server, body) =>
        {
            var payload = Enum.Parse<EventPayload>(body.Text("payload") ?? "snapshot", ignoreCase: true);
            if (body.Texts("urls") is { } urls)
                server.Webhooks.Endpoints = [.. urls.Select(url => new WebhookEndpoint(new Uri(url), [.. body.Texts("secrets") ?? ["whsec_double"]]) { Payload = payload })];
            else if (body.Text("payload") is not null)
                server.Webhooks.Endpoints = [.. server.Webhooks.Endpoints.Select(endpoint => endpoint with { Payload = payload })];
            server.Webhooks.ByItself = body.Flag("by_itself") ?? server.Webhooks.ByItself;
            return Done(server.Webhooks.Endpoints.Count);
        }),
        new("webhooks/faults", "drop? duplicate? delay_seconds? shuffle?", "Shares (0 to 1) of events dropped and sent twice, the longest delay, and how many are shuffled. What is left out goes right.", (server, body) =>
        {
            server.Webhooks.Faults = new DeliveryFaults
            {
                Drop = body.Share("drop") ?? 0,
                Duplicate = body.Share("duplicate") ?? 0,
                Delay = body.Seconds("delay_seconds") ?? TimeSpan.Zero,
                Shuffle = body.Number("shuffle") ?? 1,
            };
            return Done(true);
        }),

        new("api/fault", "kind route? share? times? seconds? status? retry_after?", "kind: rate_limit, error, hang, reset; for so many times or seconds, of routes that contain a text such as 'GET /v1/subscriptions'.", (server, body) =>
        {
            if (!Enum.TryParse<FaultKind>(body.Required("kind").Replace("_", "", StringComparison.Ordinal), ignoreCase: true, out var kind))
                throw StripeException.Invalid("kind is none of rate_limit, error, hang, reset.", "kind");

            server.Faults.Add(new Fault(kind)
            {
                Route = body.Text("route"),
                Share = body.Share("share") ?? 1,
                Times = body.Number("times"),
                Lasts = body.Seconds("seconds"),
                Status = body.Number("status") ?? 500,
                RetryAfter = body.Number("retry_after"),
            });
            return Done(true);
        }),
        new("api/jitter", "least_ms? most_ms? reads_at? per_second?", "How long answers take, whether they show the moment of arrival or of answer, and how many requests of a route a second may have.", (server, body) =>
        {
            var most = body.Number("most_ms") ?? 0;
            server.Faults.Jitter = (TimeSpan.FromMilliseconds(body.Number("least_ms") ?? 0), TimeSpan.FromMilliseconds(most));
            server.Faults.ReadsAt = Enum.Parse<ReadsAt>(body.Text("reads_at") ?? "arrival", ignoreCase: true);
            server.Faults.PerSecond = body.Number("per_second") ?? 0;
            return Done(true);
        }),
        new("api/clear", "", "Everything goes right again.", (server, _) =>
        {
            server.Faults.Clear();
            server.Webhooks.Faults = new DeliveryFaults();
            return Done(true);
        }),

        new("requests", "reset?", "Requests of each route so far, and the most of each within a second.", (server, body) =>
        {
            var counts = new JsonObject
            {
                ["counts"] = new JsonObject([.. server.Requests.Counts.Select(pair => KeyValuePair.Create(pair.Key, (JsonNode?)pair.Value))]),
                ["peaks"] = new JsonObject([.. server.Requests.Peaks.Select(pair => KeyValuePair.Create(pair.Key, (JsonNode?)pair.Value))]),
                ["events"] = server.Account.History().Count,
                ["posts"] = server.Webhooks.Sent,
            };
            if (body.Flag("reset") == true)
                server.Requests.Reset();
            return Done(counts);
        }),
    ];

    static Task<JsonNode?> Done(JsonNode? result) => Task.FromResult(result);
}
