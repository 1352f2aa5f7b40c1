using System.Diagnostics;
using System.Net;
using System.Net.Http.Headers;
using System.Net.Http.Json;
using System.Text.Json.Nodes;

namespace Pulse.Demo;

/// <summary>The tenant buys what no plan has: what could not be handled is found, its cause mended, and replayed.</summary>
sealed class DeadLetter(Surroundings surroundings, FirstSignup tenant)
{
    /// <summary>A price that deploy/plans.example.json doesn't have.</summary>
    const string Price = "price_launch_offer";

    static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    readonly StripeControl _stripe = new(surroundings);
    string _fingerprint = "";
    string _letter = "";
    string _replay = "";

    public async Task IsFound(Observations step)
    {
        await _stripe.Tell("prices/add", new JsonObject { ["id"] = Price });
        var (customer, _) = await _stripe.Tell("customers/create", new JsonObject { ["org_id"] = tenant.OrgId.ToString() });
        var (_, events) = await _stripe.Tell("subscriptions/create", new JsonObject
        {
            ["customer"] = (string?)customer["id"],
            ["price"] = Price,
            ["status"] = "active",
            ["org_id"] = tenant.OrgId.ToString(),
        });
        step.Check(true, $"the tenant subscribes to {Price}, which the plans file doesn't have; Stripe says {events}");
        var group = await Poll.Until("a group of dead letters", Patience, async () =>
            (await Get("/api/admin/dead-letters/groups"))["items"]!.AsArray().FirstOrDefault(one => (string?)one!["exception_type"] == "Pulse.Worker.Billing.UnknownPriceException"));
        _fingerprint = (string)group["fingerprint"]!;
        step.Check(true, $"GET /api/admin/dead-letters/groups has {_fingerprint}: {group["letters"]} of {group["message_type"]}, {group["exception_type"]}");
        var letters = await Get($"/api/admin/dead-letters?fingerprint={_fingerprint}");
        _letter = (string)letters["items"]![0]!["dead_letter_id"]!;
        var letter = (await Get($"/api/admin/dead-letters/{_letter}"))["letter"]!;
        step.Note($"{letter["exception_type"]}: {letter["exception_message"]}");
        step.Check((string?)letter["status"] == "parked", "it is parked, and nothing else waits for it: the state of the tenant stays as it was");
    }

    public async Task IsMended(Observations step)
    {
        var plans = await File.ReadAllTextAsync(System.IO.Path.Combine(surroundings.Root, "deploy", "plans.example.json"));
        var mended = plans.Replace("\"starter_monthly\"", $"\"starter_monthly\", \"{Price}\"", StringComparison.Ordinal);
        if (mended == plans)
            throw new DoesNotHoldException("deploy/plans.example.json has no starter_monthly any more: the demo mends a copy of it there");

        var file = System.IO.Path.Combine(surroundings.State, "plans.json");
        await File.WriteAllTextAsync(file, mended);
        using (var restart = Process.Start(new ProcessStartInfo("bash", ["-c", "kill -TERM \"$(cat \"$1/pids/worker\")\" && while kill -0 \"$(cat \"$1/pids/worker\")\" 2>/dev/null; do sleep 0.1; done; PULSE_PLANS_FILE=\"$2\" \"$3/pulse\" restart worker", "bash", surroundings.State, file, surroundings.Root]) { RedirectStandardOutput = true })!)
        {
            await restart.StandardOutput.ReadToEndAsync();
            await restart.WaitForExitAsync();
            if (restart.ExitCode != 0)
                throw new DoesNotHoldException($"the worker could not be restarted: {restart.ExitCode}");
        }

        step.Check(true, $"the worker runs again, with {Price} in its plans file");
        var (planned, plan) = await Send(HttpMethod.Post, "/api/admin/replays", new JsonObject { ["filter"] = new JsonObject { ["fingerprint"] = _fingerprint } });
        _replay = (string?)plan["replay_id"] ?? "";
        step.Check(planned == HttpStatusCode.OK, $"POST /api/admin/replays answers {(int)planned}: a plan of {plan["letters"]}, and nothing has moved");
        var (previewed, preview) = await Send(HttpMethod.Post, $"/api/admin/replays/{_replay}/preview", []);
        step.Check(previewed == HttpStatusCode.OK, $"POST …/preview answers {(int)previewed}: {preview["preview"]?["summary"] ?? preview["summary"]}");
    }

    public async Task IsReplayed(Observations step)
    {
        var (started, _) = await Send(HttpMethod.Post, $"/api/admin/replays/{_replay}/start", new JsonObject { ["canary"] = 1, ["rate_per_second"] = 10 });
        step.Check(started == HttpStatusCode.OK, $"POST …/start {{\"canary\":1,\"rate_per_second\":10}} answers {(int)started}");
        var replay = await Poll.Until("the end of the replay", Patience, async () => await Get($"/api/admin/replays/{_replay}") is var now && (string?)now["status"] is "completed" or "stopped" ? await Get($"/api/admin/replays/{_replay}") : null);
        step.Check((string?)replay["status"] == "completed", $"it is {replay["status"]}: {replay["progress"]?.ToJsonString()}");
        var letter = (await Get($"/api/admin/dead-letters/{_letter}"))["letter"]!;
        step.Check((string?)letter["status"] == "resolved", $"the dead letter is {letter["status"]}");
        var state = await Poll.Until("what was paid for", Patience, async () =>
            await Get($"/api/admin/orgs/{tenant.OrgId}/billing-state") is var now && (string?)now["subscription_state"] == "active" ? now : null);
        step.Check((string?)state["plan_version"] == "starter-1", $"and the tenant has what it paid for: {state["subscription_state"]}, plan {state["plan_version"]}");
    }

    async Task<JsonObject> Get(string path)
    {
        var (status, body) = await Send(HttpMethod.Get, path, null);
        return status == HttpStatusCode.OK ? body : throw new DoesNotHoldException($"GET {path} answers {(int)status} {body.ToJsonString()}");
    }

    async Task<(HttpStatusCode Status, JsonObject Body)> Send(HttpMethod method, string path, JsonObject? body)
    {
        using var request = new HttpRequestMessage(method, new Uri(surroundings.Ingress, path));
        if (body is not null)
            request.Content = JsonContent.Create(body);
        request.Headers.Authorization = new AuthenticationHeaderValue("Bearer", surroundings.AdminKey);
        using var response = await surroundings.Http.SendAsync(request);
        return (response.StatusCode, JsonNode.Parse(await response.Content.ReadAsStringAsync())!.AsObject());
    }
}
