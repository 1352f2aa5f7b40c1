using System.Net;
using System.Security.Cryptography;
using System.Text.Json;
using Npgsql;
using Pulse.EndToEnd.Processes;
using Pulse.Testing;

namespace Pulse.EndToEnd.Lifecycle;

/// <summary>An operator's verbs over HTTP, with the worker behind the broker.</summary>
public sealed class LifecycleTests(RunningPulse pulse) : RunningPulseTests(pulse)
{
    [Fact]
    public async Task Suspending_denies_everything_at_once_and_unsuspending_gives_it_back()
    {
        var org = await TenantAsync();
        var before = await MetricAsync("active", "suspended");
        var seconds = await Pulse.MetricAsync(Pulse.Worker, "pulse_hosted_lifecycle_seconds_sum") ?? 0;

        var suspended = await DoAsync(org, "suspend", HttpStatusCode.OK, """{"reason":"unpaid"}""");
        Assert.Equal(("suspended", "unpaid"), (Text(suspended, "status"), Text(suspended, "suspend_reason")));
        Assert.True(suspended.TryGetProperty("suspended_at", out _));
        Assert.Equal(suspended.GetRawText(), (await OrgAsync(org)).GetRawText());
        await Eventually.Until(async () => await ReasonAsync(org) == "org_suspended", TimeSpan.FromSeconds(5), "the service is told");
        Assert.Equal("already_suspended", Text(await DoAsync(org, "suspend", HttpStatusCode.Conflict), "code"));

        var active = await DoAsync(org, "unsuspend", HttpStatusCode.OK);
        Assert.Equal("active", Text(active, "status"));
        Assert.False(active.TryGetProperty("suspended_at", out _));
        await Eventually.Until(async () => await ReasonAsync(org) != "org_suspended", TimeSpan.FromSeconds(5), "the service is told");
        Assert.Equal("not_suspended", Text(await DoAsync(org, "unsuspend", HttpStatusCode.Conflict), "code"));

        await Eventually.Until(async () => await MetricAsync("active", "suspended") == before + 1, TimeSpan.FromSeconds(10), "the change is counted");
        Assert.InRange(await Pulse.MetricAsync(Pulse.Worker, "pulse_hosted_lifecycle_seconds_sum") - seconds ?? -1, 0, 60);
        var audit = await AuditAsync(org);
        Assert.Equal(["organization_unsuspended", "organization_suspended"], audit.Select(entry => Text(entry, "action")));
        Assert.All(audit, entry => Assert.StartsWith("operation:", Text(entry, "cause"), StringComparison.Ordinal));
        Assert.All(audit, entry => Assert.StartsWith("key:", Text(entry, "actor"), StringComparison.Ordinal));
        Assert.Equal(
            [("suspended", "active"), ("active", "suspended")],
            audit.Select(entry => (Text(entry.GetProperty("before"), "status"), Text(entry.GetProperty("after"), "status"))));
    }

    [Fact]
    public async Task A_deleted_organization_is_restored_to_what_it_was_and_unsuspending_is_no_undelete()
    {
        var org = await TenantAsync();
        await DoAsync(org, "suspend", HttpStatusCode.OK);
        var deleted = await DoAsync(org, "soft-delete", HttpStatusCode.OK, """{"retention_days":7}""");
        Assert.Equal(("pending_deletion", 7), (Text(deleted, "status"), deleted.GetProperty("retention_days").GetInt32()));
        Assert.Equal(TimeSpan.FromDays(7), deleted.GetProperty("purge_after").GetDateTimeOffset() - deleted.GetProperty("deletion_requested_at").GetDateTimeOffset());
        await Eventually.Until(async () => await ReasonAsync(org) == "org_pending_deletion", TimeSpan.FromSeconds(5), "the service is told");

        Assert.Equal("pending_deletion", Text(await DoAsync(org, "suspend", HttpStatusCode.Conflict), "code"));
        Assert.Equal("not_suspended", Text(await DoAsync(org, "unsuspend", HttpStatusCode.Conflict), "code"));
        Assert.Equal("already_pending_deletion", Text(await DoAsync(org, "soft-delete", HttpStatusCode.Conflict), "code"));

        var restored = await DoAsync(org, "restore", HttpStatusCode.OK);
        Assert.Equal("suspended", Text(restored, "status"));
        Assert.False(restored.TryGetProperty("purge_after", out _));
        Assert.Equal("not_pending_deletion", Text(await DoAsync(org, "restore", HttpStatusCode.Conflict), "code"));
    }

    [Fact]
    public async Task Retention_is_thirty_days_unless_it_is_said_and_never_none()
    {
        var org = await TenantAsync();
        foreach (var bad in (string[])["0", "-1", "3651", "1.5", "\"7\"", "true", "1e99", "[]"])
            Assert.Equal("invalid_retention_days", Text(await DoAsync(org, "soft-delete", HttpStatusCode.BadRequest, $$"""{"retention_days":{{bad}}}"""), "code"));
        Assert.Equal("invalid_request", Text(await DoAsync(org, "soft-delete", HttpStatusCode.BadRequest, """{"retention":1}"""), "code"));

        Assert.Equal(30, (await DoAsync(org, "soft-delete", HttpStatusCode.OK, """{"retention_days":null}""")).GetProperty("retention_days").GetInt32());
        await DoAsync(org, "restore", HttpStatusCode.OK);
        Assert.Equal(30, (await DoAsync(org, "soft-delete", HttpStatusCode.OK)).GetProperty("retention_days").GetInt32());
    }

    [Fact]
    public async Task The_platforms_own_organization_stays_and_one_that_is_not_there_is_not_found()
    {
        foreach (var verb in (string[])["suspend", "unsuspend", "soft-delete", "restore"])
        {
            using var own = await Pulse.SendAsync("POST", $"/api/admin/orgs/default/{verb}");
            Assert.Equal((HttpStatusCode.BadRequest, "default_org_immutable"), (own.StatusCode, Text(await JsonAsync(own), "code")));
            using var nobody = await Pulse.SendAsync("POST", $"/api/admin/orgs/{Guid.CreateVersion7()}/{verb}");
            Assert.Equal(HttpStatusCode.NotFound, nobody.StatusCode);
        }
    }

    [Fact]
    public async Task An_organization_under_legal_hold_cannot_be_deleted_from_the_database_even_by_hand()
    {
        var org = await TenantAsync();
        using (var unreasoned = await Pulse.SendAsync("POST", $"/api/admin/orgs/{org}/legal-hold"))
            Assert.Equal(HttpStatusCode.BadRequest, unreasoned.StatusCode);
        var held = await DoAsync(org, "legal-hold", HttpStatusCode.OK, """{"reason":"a court asks"}""");
        Assert.Equal("a court asks", Text(held, "legal_hold_reason"));
        Assert.StartsWith("key:", await Pulse.AskAsync<string>("select legal_hold_by from pulse.organizations where org_id = $1", org), StringComparison.Ordinal);

        await Pulse.RunSqlAsync("update pulse.organizations set status = 'pending_deletion', purge_started_at = now() where org_id = $1", org);
        var refused = await Assert.ThrowsAsync<PostgresException>(() => Pulse.RunSqlAsync("delete from pulse.organizations where org_id = $1", org));
        Assert.Equal(PostgresErrorCodes.RestrictViolation, refused.SqlState);
        await Pulse.RunSqlAsync("update pulse.organizations set status = 'active', purge_started_at = null where org_id = $1", org);

        using var released = await Pulse.SendAsync("DELETE", $"/api/admin/orgs/{org}/legal-hold");
        Assert.False((await JsonAsync(released)).TryGetProperty("legal_hold_at", out _));
    }

    [Fact]
    public async Task A_repeated_command_is_done_once_and_answered_alike()
    {
        var org = await TenantAsync();
        var key = Some.Key;
        var answers = await Task.WhenAll(Enumerable.Range(0, 5).Select(_ =>
            Pulse.SendAsync("POST", $"/api/admin/orgs/{org}/suspend", """{"reason":"once"}""", null, ("Idempotency-Key", key))));

        Assert.All(answers, answer => Assert.Equal(HttpStatusCode.OK, answer.StatusCode));
        Assert.Single((await Task.WhenAll(answers.Select(JsonAsync))).Select(answer => answer.GetRawText()).Distinct());
        Assert.Single(await AuditAsync(org));
    }

    [Fact]
    public async Task When_the_retention_is_over_it_is_purged_with_a_certificate_and_only_that_and_the_audit_are_left()
    {
        var signup = Some.Signup;
        var org = (await Pulse.EndsAsync(await Pulse.AcceptedAsync(signup), "provisioned"))!.Value;
        var before = await MetricAsync("pending_deletion", "purged");
        await DoAsync(org, "soft-delete", HttpStatusCode.OK, """{"retention_days":1}""");
        await Pulse.ClockAsync("+25h");
        try
        {
            // Other tests leave deleted organizations behind: they may be too many to go unasked.
            await Eventually.Until(async () => await PurgesAsync(org) || await ConfirmAsync(), TimeSpan.FromSeconds(30), "the purge began");
            JsonElement certificate = default;
            await Eventually.Until(
                async () =>
                {
                    using var answer = await Pulse.SendAsync("GET", $"/api/admin/orgs/{org}/certificate");
                    certificate = await JsonAsync(answer);
                    return answer.StatusCode == HttpStatusCode.OK;
                },
                TimeSpan.FromSeconds(60), "it has a certificate");

            Assert.Equal(0, certificate.GetProperty("residue").GetProperty("rows_found").GetInt32());
            var file = Directory.GetFiles(Path.Combine(Pulse.State, "exports"), $"{org}.*.json").Single();
            Assert.Equal(Convert.ToHexStringLower(SHA256.HashData(await File.ReadAllBytesAsync(file))), Text(certificate.GetProperty("export"), "sha256"));
            Assert.Equal(0L, await Pulse.AskAsync<long>("select count(*) from pulse.residue(array[$1], array[$2])", org, signup.Email!));
            using (var gone = await Pulse.SendAsync("GET", $"/api/admin/orgs/{org}"))
                Assert.Equal(HttpStatusCode.NotFound, gone.StatusCode);
            Assert.Equal(
                ["organization_purged", "organization_rows_deleted", "tenant_deprovisioned", "organization_exported", "purge_started", "organization_deleted"],
                (await AuditAsync(org)).Select(entry => Text(entry, "action")));
            await Eventually.Until(async () => await MetricAsync("pending_deletion", "purged") >= before + 1, TimeSpan.FromSeconds(10), "the purge is counted");
            Assert.True(await Pulse.MetricAsync(Pulse.Worker, "pulse_hosted_purges_total{outcome=\"purged\"}") >= 1);
            await Pulse.ScriptAsync("audit", "verify");
        }
        finally
        {
            await Pulse.ClockAsync("reset");
        }
    }

    async Task<bool> PurgesAsync(Guid org) => await Pulse.AskAsync<bool>("select exists (select from pulse.purges where org_id = $1) or exists (select from pulse.tombstones where org_id = $1)", org);

    async Task<bool> ConfirmAsync()
    {
        using var listed = await Pulse.SendAsync("POST", "/api/admin/reaper/dry-run");
        var list = await JsonAsync(listed);
        if (list.GetProperty("count").GetInt32() == 0)
            return false;
        using var confirmed = await Pulse.SendAsync("POST", "/api/admin/reaper/confirm", $$"""{"hash":"{{Text(list, "hash")}}"}""");
        return false;
    }

    async Task<Guid> TenantAsync() => (await Pulse.EndsAsync(await Pulse.AcceptedAsync(Some.Signup), "provisioned"))!.Value;

    async Task<JsonElement> DoAsync(Guid org, string verb, HttpStatusCode expected, string? body = null)
    {
        using var answer = await Pulse.SendAsync("POST", $"/api/admin/orgs/{org}/{verb}", body);
        var json = await JsonAsync(answer);
        Assert.True(answer.StatusCode == expected, $"{verb}: {(int)answer.StatusCode} {json}");
        return json;
    }

    async Task<JsonElement> OrgAsync(Guid org)
    {
        using var answer = await Pulse.SendAsync("GET", $"/api/admin/orgs/{org}");
        return await JsonAsync(answer);
    }

    async Task<List<JsonElement>> AuditAsync(Guid org)
    {
        using var answer = await Pulse.SendAsync("GET", $"/api/admin/orgs/{org}/audit");
        return [.. (await JsonAsync(answer)).GetProperty("items").EnumerateArray()];
    }

    // What a service that asks for a capability is told.
    async Task<string?> ReasonAsync(Guid org)
    {
        using var answer = await Pulse.SendAsync("GET", $"/api/orgs/{org}/entitlements?capability=projects", null, Pulse["PULSE_SERVICE_KEY"]);
        var verdict = (await JsonAsync(answer)).GetProperty("verdicts").GetProperty("projects");
        return verdict.TryGetProperty("reason", out var reason) ? reason.GetString() : null;
    }

    async Task<double> MetricAsync(string from, string to) =>
        await Pulse.MetricAsync(Pulse.Worker, $"pulse_hosted_lifecycle_transitions_total{{from_status=\"{from}\",to_status=\"{to}\"}}") ?? 0;

    static async Task<JsonElement> JsonAsync(HttpResponseMessage answer) => JsonSerializer.Deserialize<JsonElement>(await answer.Content.ReadAsByteArrayAsync());

    static string? Text(JsonElement element, string name) => element.GetProperty(name).GetString();
}
