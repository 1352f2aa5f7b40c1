using System.Net.Http.Json;
using System.Text.Json.Nodes;

namespace Pulse.Demo;

/// <summary>Tells the double of Stripe what happens there. The events reach Pulse as Stripe's do: over its webhook, signed.</summary>
sealed class StripeControl(Surroundings surroundings)
{
    /// <returns>The object that changed, and the types of the events that it made.</returns>
    public async Task<(JsonObject Result, string Events)> Tell(string action, JsonObject body)
    {
        using var response = await surroundings.Http.PostAsync(new Uri(surroundings.Stripe, $"/control/{action}"), JsonContent.Create(body));
        var answer = JsonNode.Parse(await response.Content.ReadAsStringAsync())!.AsObject();
        if (!response.IsSuccessStatusCode)
            throw new DoesNotHoldException($"POST /control/{action} answers {(int)response.StatusCode} {answer.ToJsonString()}");

        return (answer["result"]!.AsObject(), string.Join(", ", answer["events"]!.AsArray().Select(made => (string?)made!["type"])));
    }
}
