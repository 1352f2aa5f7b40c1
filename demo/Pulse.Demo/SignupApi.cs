using System.Net;
using System.Net.Http.Json;
using System.Text.Json.Nodes;

namespace Pulse.Demo;

/// <summary>The public endpoints as a caller sees them.</summary>
sealed class SignupApi(Surroundings surroundings)
{
    /// <summary>A client's address that nobody used before: loopback is a trusted proxy here, so this header counts.</summary>
    public static string SomeAddress() => $"10.{Random.Shared.Next(256)}.{Random.Shared.Next(256)}.{Random.Shared.Next(1, 255)}";

    public static string SomeEmail() => $"founder.{Guid.NewGuid():n}@example.com";

    public async Task<Answer> SignUp(string email, string orgName, string password = "correct horse battery staple", string? from = null)
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, new Uri(surroundings.Ingress, "/api/public/signup"))
        {
            Content = JsonContent.Create(new JsonObject { ["email"] = email, ["password"] = password, ["org_name"] = orgName }),
        };
        request.Headers.Add("X-Forwarded-For", from ?? SomeAddress());
        using var response = await surroundings.Http.SendAsync(request);
        return await Answer.Read(response);
    }

    /// <summary>Polls the status until it is the wanted one.</summary>
    /// <returns>Every status seen on the way, and the last answer.</returns>
    public async Task<(IReadOnlyList<string> Seen, Answer Last)> Follow(Guid signupId, string wanted, TimeSpan deadline)
    {
        var seen = new List<string>();
        var last = await Poll.Until($"status {wanted} of {signupId}", deadline, async () =>
        {
            var answer = await Status(signupId);
            var status = answer.Text("status") ?? $"({(int)answer.Status})";
            if (seen.Count == 0 || seen[^1] != status)
                seen.Add(status);

            return status == wanted ? answer
                : status is "failed" or "existing" or "provisioned" ? throw new DoesNotHoldException($"{string.Join(" → ", seen)}, not {wanted}")
                : null;
        });
        return (seen, last);
    }

    public async Task<Answer> Status(Guid signupId)
    {
        using var response = await surroundings.Http.GetAsync(new Uri(surroundings.Ingress, $"/api/public/signup/{signupId}"));
        return await Answer.Read(response);
    }
}

/// <summary>What a response said.</summary>
sealed record Answer(HttpStatusCode Status, string? ContentType, string? RetryAfter, string Body, JsonObject? Json)
{
    public string? Text(string field) => (string?)Json?[field];

    /// <summary>The names of its fields, in their order.</summary>
    public string Shape => string.Join(", ", Json?.Select(property => property.Key) ?? []);

    public Guid SignupId => Guid.TryParse(Text("signup_id"), out var id) ? id : throw new DoesNotHoldException($"no signup_id in {Body}");

    public static async Task<Answer> Read(HttpResponseMessage response)
    {
        var body = await response.Content.ReadAsStringAsync();
        return new Answer(
            response.StatusCode,
            response.Content.Headers.ContentType?.MediaType,
            response.Headers.RetryAfter?.ToString(),
            body,
            body.StartsWith('{') ? JsonNode.Parse(body)!.AsObject() : null);
    }
}
