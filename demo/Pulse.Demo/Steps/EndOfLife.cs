using System.Diagnostics;
using System.Net;
using System.Net.Http.Headers;
using System.Net.Http.Json;
using System.Text.Json.Nodes;

namespace Pulse.Demo;

/// <summary>The tenant is deleted, comes back, is deleted again, and is gone for good when its retention is over.</summary>
sealed class EndOfLife(Surroundings surroundings, FirstSignup tenant)
{
    static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    string Path => $"/api/admin/orgs/{tenant.OrgId}";

    public async Task IsDeletedAndRestored(Observations step)
    {
        var (deleted, answer) = await Send(HttpMethod.Post, $"{Path}/soft-delete", new JsonObject { ["retention_days"] = 30 });
        step.Check(deleted == HttpStatusCode.OK && (string?)answer["status"] == "pending_deletion", $"POST …/soft-delete answers {(int)deleted}: it is purged after {answer["purge_after"]}");
        var (refused, why) = await Send(HttpMethod.Post, $"{Path}/unsuspend", null);
        step.Check(refused == HttpStatusCode.Conflict, $"unsuspend is no undelete: {(int)refused} {why["code"]}");
        var (restored, now) = await Send(HttpMethod.Post, $"{Path}/restore", null);
        step.Check(restored == HttpStatusCode.OK && (string?)now["status"] == "active", $"POST …/restore answers {(int)restored}: it is {now["status"]} again");
    }

    public async Task IsHeld(Observations step)
    {
        // In containers there is no directory for exports.
        var (deleted, _) = await Send(HttpMethod.Post, $"{Path}/soft-delete", new JsonObject { ["retention_days"] = 30, ["export"] = surroundings.ComposeProject is null or "" });
        var (held, _) = await Send(HttpMethod.Post, $"{Path}/legal-hold", new JsonObject { ["reason"] = "demo" });
        step.Check(deleted == HttpStatusCode.OK && held == HttpStatusCode.OK, $"POST …/soft-delete and …/legal-hold answer {(int)deleted} and {(int)held}");
        await Clock("+31d");
        var (listed, due) = await Send(HttpMethod.Post, "/api/admin/reaper/dry-run", null);
        step.Check(listed == HttpStatusCode.OK && (int?)due["count"] == 0, $"31 days later nothing is due: POST /api/admin/reaper/dry-run answers {due.ToJsonString()}");
    }

    public async Task IsPurged(Observations step)
    {
        var (released, _) = await Send(HttpMethod.Delete, $"{Path}/legal-hold", null);
        step.Check(released == HttpStatusCode.OK, $"DELETE …/legal-hold answers {(int)released}");
        var waited = Stopwatch.StartNew();
        var certificate = await Poll.Until("the certificate", Patience, async () => await Send(HttpMethod.Get, $"{Path}/certificate", null) is (HttpStatusCode.OK, var found) ? found : null);
        step.Check((int?)certificate["residue"]?["rows_found"] == 0, $"it is purged after {waited.Elapsed.TotalSeconds:0.0} s, and GET …/certificate says so:");
        step.Note(certificate.ToJsonString());
        var (gone, _) = await Send(HttpMethod.Get, Path, null);
        step.Check(gone == HttpStatusCode.NotFound, $"GET …/{tenant.OrgId} answers {(int)gone}");
        var (audited, audit) = await Send(HttpMethod.Get, $"{Path}/audit?limit=6", null);
        step.Check(audited == HttpStatusCode.OK, $"GET …/audit still answers: {string.Join(" ← ", audit["items"]!.AsArray().Select(entry => (string?)entry!["action"]))}");
        if (certificate["export"] is { } exported)
        {
            var (sha256, file) = await Export();
            step.Check(sha256 == (string?)exported["sha256"], $"the export {file} has the certificate's hash");
        }

        var left = await TenantRows.CountLeft(surroundings.Postgres, tenant.OrgId, tenant.Email);
        step.Check(left == 0, "no row of the database has its id or its owner's email");
        var verified = await Script("audit", "verify");
        step.Check(verified.Contains("Everything is as it was written", StringComparison.Ordinal), $"./pulse audit verify: {verified.ReplaceLineEndings(" ").Trim()}");
        await Clock("reset");
    }

    async Task<(string? Sha256, string File)> Export()
    {
        var file = Directory.GetFiles(System.IO.Path.Combine(surroundings.State, "exports"), $"{tenant.OrgId}.*.json").Single();
        await using var stream = File.OpenRead(file);
        return (Convert.ToHexStringLower(await System.Security.Cryptography.SHA256.HashDataAsync(stream)), System.IO.Path.GetFileName(file));
    }

    Task<string> Clock(string move) => Script("clock", move);

    async Task<string> Script(params string[] arguments)
    {
        using var process = Process.Start(new ProcessStartInfo(System.IO.Path.Combine(surroundings.Root, "pulse"), arguments) { RedirectStandardOutput = true })!;
        var said = await process.StandardOutput.ReadToEndAsync();
        await process.WaitForExitAsync();
        return process.ExitCode == 0 ? said : throw new DoesNotHoldException($"./pulse {string.Join(' ', arguments)} ended with {process.ExitCode}: {said}");
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
