using System.Net;
using System.Net.Http.Headers;
using System.Net.Http.Json;
using System.Text.Json.Nodes;

namespace Pulse.Demo;

/// <summary>What an operator does, with a key.</summary>
sealed class Operator(Surroundings surroundings, FirstSignup tenant)
{
    public async Task Overrides(Observations step)
    {
        var path = $"/api/admin/orgs/{tenant.OrgId}/billing-state";
        var (before, _) = await Send(HttpMethod.Get, path, null);
        var (set, answer) = await Send(HttpMethod.Put, path, new JsonObject { ["subscription_state"] = "active", ["reason"] = "demo" });
        step.Check(set == HttpStatusCode.OK, $"PUT …/billing-state {{\"subscription_state\":\"active\"}} answers {(int)set} {answer}");
        var (revoked, after) = await Send(HttpMethod.Delete, $"{path}/override", null);
        step.Check(before == HttpStatusCode.OK && revoked == HttpStatusCode.OK, $"DELETE …/billing-state/override answers {(int)revoked} {after}");
        var (explained, why) = await Send(HttpMethod.Get, $"{path}/explain", null);
        step.Check(explained == HttpStatusCode.OK, "GET …/billing-state/explain tells why it is so");
        step.Note(why.Length > 400 ? why[..400] + " …" : why);
    }

    public async Task SuspendsAndUnsuspends(Observations step)
    {
        var path = $"/api/admin/orgs/{tenant.OrgId}";
        var (suspended, answer) = await Send(HttpMethod.Post, $"{path}/suspend", new JsonObject { ["reason"] = "demo" });
        step.Check(suspended == HttpStatusCode.OK, $"POST …/suspend answers {(int)suspended} {answer}");
        step.Check(await Poll.Until("a denial", TimeSpan.FromSeconds(5), async () => await Authz() is "403 org_suspended" and var denied ? denied : null) is not null,
            "GET /authz, as nginx asks for each request of the tenant's, answers 403 org_suspended");
        var (again, refusal) = await Send(HttpMethod.Post, $"{path}/suspend", null);
        step.Check(again == HttpStatusCode.Conflict && refusal.Contains("already_suspended", StringComparison.Ordinal), $"again: {(int)again} already_suspended");
        var (lifted, _) = await Send(HttpMethod.Post, $"{path}/unsuspend", null);
        step.Check(lifted == HttpStatusCode.OK, $"POST …/unsuspend answers {(int)lifted}");
        step.Check(await Poll.Until("a pass", TimeSpan.FromSeconds(5), async () => await Authz() is "204" and var passed ? passed : null) is not null, "and /authz 204 again");
        var (locked, _) = await Send(HttpMethod.Get, path, null, key: null);
        step.Check(locked == HttpStatusCode.Unauthorized, $"without a key: {(int)locked}");
    }

    async Task<string> Authz()
    {
        using var request = new HttpRequestMessage(HttpMethod.Get, new Uri(surroundings.Ingress, "/authz"))
        {
            Headers = { { "X-Pulse-Authz-Key", surroundings.AuthzKey }, { "X-Pulse-Org-Id", tenant.OrgId.ToString() } },
        };
        using var response = await surroundings.Http.SendAsync(request);
        return $"{(int)response.StatusCode} {(response.Headers.TryGetValues("X-Pulse-Reason", out var reason) ? reason.Single() : "")}".Trim();
    }

    Task<(HttpStatusCode Status, string Body)> Send(HttpMethod method, string path, JsonObject? body) => Send(method, path, body, surroundings.AdminKey);

    async Task<(HttpStatusCode Status, string Body)> Send(HttpMethod method, string path, JsonObject? body, string? key)
    {
        using var request = new HttpRequestMessage(method, new Uri(surroundings.Ingress, path));
        if (body is not null)
            request.Content = JsonContent.Create(body);
        if (key is not null)
            request.Headers.Authorization = new AuthenticationHeaderValue("Bearer", key);
        using var response = await surroundings.Http.SendAsync(request);
        return (response.StatusCode, await response.Content.ReadAsStringAsync());
    }
}
