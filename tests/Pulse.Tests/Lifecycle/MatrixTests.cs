using System.Globalization;
using System.Net;
using System.Text;
using Pulse.Contracts.Keys;
using Pulse.Contracts.Lifecycle;
using Pulse.Tests.Signups;

namespace Pulse.Tests.Lifecycle;

/// <summary>Every verb on an organization in every place of its life, over HTTP: its answer, its audit entry, and what is counted.</summary>
/// <remarks>The handlers are the worker's own; what lies between outbox and handler is in LifecycleTests of the end-to-end tests.</remarks>
public sealed class MatrixTests(LifecycleBed bed) : IClassFixture<LifecycleBed>, IAsyncLifetime
{
    TestIngress _ingress = null!;
    LifecycleWorker _worker = null!;
    string _key = "";

    public async Task InitializeAsync()
    {
        _ingress = await TestIngress.StartAsync(bed.Postgres.IngressAddress, bed.Clock);
        _worker = bed.Worker();
        _key = await bed.Postgres.KeyAsync([.. Scopes.All]);
    }

    public async Task DisposeAsync()
    {
        await _worker.DisposeAsync();
        await _ingress.DisposeAsync();
    }

    static readonly string[] Verbs = ["suspend", "unsuspend", "soft-delete", "restore", "hold", "release"];

    /// <summary>Place → what each of <see cref="Verbs"/> leads to: a status, or a problem's status and code.</summary>
    static readonly Dictionary<string, string[]> Expected = new()
    {
        ["active"] = ["suspended", "409 not_suspended", "pending_deletion", "409 not_pending_deletion", "active", "409 not_on_legal_hold"],
        ["active held"] = ["suspended", "409 not_suspended", "pending_deletion", "409 not_pending_deletion", "409 already_on_legal_hold", "active"],
        ["suspended"] = ["409 already_suspended", "active", "pending_deletion", "409 not_pending_deletion", "suspended", "409 not_on_legal_hold"],
        ["suspended held"] = ["409 already_suspended", "active", "pending_deletion", "409 not_pending_deletion", "409 already_on_legal_hold", "suspended"],
        ["pending_deletion"] = ["409 pending_deletion", "409 not_suspended", "409 already_pending_deletion", "active", "pending_deletion", "409 not_on_legal_hold"],
        ["pending_deletion held"] = ["409 pending_deletion", "409 not_suspended", "409 already_pending_deletion", "active", "409 already_on_legal_hold", "pending_deletion"],
        ["suspended, pending_deletion"] = ["409 pending_deletion", "409 not_suspended", "409 already_pending_deletion", "suspended", "pending_deletion", "409 not_on_legal_hold"],
        ["purging"] = ["409 pending_deletion", "409 not_suspended", "409 already_pending_deletion", "409 purge_started", "409 purge_started", "409 not_on_legal_hold"],
        ["purged"] = ["404 not_found", "404 not_found", "404 not_found", "404 not_found", "404 not_found", "404 not_found"],
        ["default"] = ["400 default_org_immutable", "400 default_org_immutable", "400 default_org_immutable", "400 default_org_immutable", "400 default_org_immutable", "400 default_org_immutable"],
    };

    static readonly Dictionary<string, string> Actions = new()
    {
        ["suspend"] = "organization_suspended",
        ["unsuspend"] = "organization_unsuspended",
        ["soft-delete"] = "organization_deleted",
        ["restore"] = "organization_restored",
        ["hold"] = "legal_hold_placed",
        ["release"] = "legal_hold_released",
    };

    public static TheoryData<string, string, string> Cases()
    {
        var cases = new TheoryData<string, string, string>();
        foreach (var (place, answers) in Expected)
        {
            foreach (var (verb, answer) in Verbs.Zip(answers))
                cases.Add(place, verb, answer);
        }

        return cases;
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public async Task A_verb_leads_where_it_may_and_is_refused_where_not(string place, string verb, string expected)
    {
        var org = await ArriveAsync(place);
        var before = await bed.AuditAsync(Id(org));
        var status = await bed.StatusAsync(Id(org));
        _worker.Moves.Clear();
        var (counted, applied) = await CountedAsync();

        var answer = await DoAsync(org, verb);
        var allowed = !char.IsAsciiDigit(expected[0]);
        if (allowed)
        {
            Assert.Equal(200, (int)answer.StatusCode);
            Assert.Equal(expected, (await answer.Json()).GetProperty("status").GetString());
            Assert.Equal(expected, await bed.StatusAsync(Id(org)));
        }
        else
        {
            await answer.IsProblem(int.Parse(expected[..3], CultureInfo.InvariantCulture), expected[4..]);
            Assert.Equal(status, await bed.StatusAsync(Id(org)));
        }

        Assert.Equal(allowed ? [.. before, Actions[verb]] : before, await bed.AuditAsync(Id(org)));
        string[] moves = allowed && expected != status ? [$"{status}→{expected}"] : [];
        Assert.Equal(moves, _worker.Moves);
        var (countedNow, appliedNow) = await CountedAsync();
        Assert.Equal(moves.ToDictionary(move => move, _ => 1d), countedNow.Where(move => move.Value != counted[move.Key]).ToDictionary(move => move.Key, move => move.Value - counted[move.Key]));
        Assert.Equal(moves.Length, appliedNow - applied);
        if (allowed)
        {
            var entry = (await (await SendAsync("GET", $"/api/admin/orgs/{org}/audit?limit=1")).Json()).GetProperty("items")[0];
            Assert.Equal((Actions[verb], $"key:{_key.Split('_')[1]}"), (entry.GetProperty("action").GetString(), entry.GetProperty("actor").GetString()));
            Assert.StartsWith("operation:", entry.GetProperty("cause").GetString(), StringComparison.Ordinal);
            Assert.Equal((status, expected), (entry.GetProperty("before").GetProperty("status").GetString(), entry.GetProperty("after").GetProperty("status").GetString()));
        }
    }

    [Fact]
    public async Task Scenario_5_suspending_what_is_deleted_is_refused_and_unsuspending_is_no_undelete()
    {
        foreach (var place in (string[])["pending_deletion", "suspended, pending_deletion", "purging"])
        {
            var org = await ArriveAsync(place);
            var status = await bed.StatusAsync(Id(org));
            await (await DoAsync(org, "suspend")).IsProblem(409, "pending_deletion");
            await (await DoAsync(org, "unsuspend")).IsProblem(409, "not_suspended");
            Assert.Equal(status, await bed.StatusAsync(Id(org)));
        }
    }

    // There is no way to it but a key with orgs:write.
    [Theory]
    [InlineData("unsuspend")]
    [InlineData("restore")]
    public async Task Scenario_6_an_owner_cannot_unsuspend_or_restore_their_own_organization(string verb)
    {
        var org = await ArriveAsync(verb == "restore" ? "pending_deletion" : "suspended");
        var status = await bed.StatusAsync(Id(org));
        Assert.Equal(HttpStatusCode.Unauthorized, (await SendAsync("POST", $"/api/admin/orgs/{org}/{verb}", null)).StatusCode);
        // What a platform might hand to a tenant's own service.
        var weak = await bed.Postgres.KeyAsync([.. Scopes.All.Where(scope => scope != Scopes.OrgsWrite)]);
        await (await SendAsync("POST", $"/api/admin/orgs/{org}/{verb}", weak)).IsProblem(403, "insufficient_scope");
        Assert.Equal(status, await bed.StatusAsync(Id(org)));
    }

    // As a replay of what was dead-lettered might bring it: another message, so no inbox knows it.
    [Fact]
    public async Task A_command_that_comes_again_in_another_message_changes_nothing_and_keeps_its_outcome()
    {
        var org = Id(await ArriveAsync("active"));
        var operation = await bed.AskAsync("suspend", org);
        await _worker.DrainAsync();
        await bed.AskAsync("unsuspend", org);
        await _worker.DrainAsync();
        var audit = await bed.AuditAsync(org);

        await bed.PublishAsync(new SuspendOrganization { OperationId = operation, OrgId = org, AcceptedAt = bed.Clock.GetUtcNow() });
        await _worker.DrainAsync();

        Assert.Equal(("active", "succeeded"), (await bed.StatusAsync(org), await bed.EndAsync(operation)));
        Assert.Equal(audit, await bed.AuditAsync(org));
    }

    [Fact]
    public async Task After_the_purge_the_organization_is_not_found_and_its_audit_and_certificate_are()
    {
        var org = await ArriveAsync("purging");
        var purging = await (await SendAsync("GET", $"/api/admin/orgs/{org}")).Json();
        Assert.True(purging.TryGetProperty("purge_started_at", out _));
        await (await SendAsync("GET", $"/api/admin/orgs/{org}/certificate")).IsProblem(404, "not_found");
        Assert.Equal((0d, 0d), await PurgedAsync());
        var before = await BuriedAsync();
        _worker.Deprovisions = true;
        await _worker.SweepAsync();
        bed.Clock.Advance(TimeSpan.FromHours(1));
        await _worker.SweepAsync();
        await _worker.DrainAsync();

        // Those of other tests that stood there as well are purged with it.
        var purged = await BuriedAsync() - before;
        Assert.InRange(purged, 1, long.MaxValue);
        Assert.Equal(((double)purged, (double)purged), await PurgedAsync());
        await (await SendAsync("GET", $"/api/admin/orgs/{org}")).IsProblem(404, "not_found");
        var certificate = await (await SendAsync("GET", $"/api/admin/orgs/{org}/certificate")).Json();
        Assert.Equal(0, certificate.GetProperty("residue").GetProperty("rows_found").GetInt32());
        Assert.Equal(64, certificate.GetProperty("export").GetProperty("sha256").GetString()!.Length);
        Assert.Equal(1, certificate.GetProperty("rows_deleted").GetProperty("organizations").GetInt32());
        var last = (await (await SendAsync("GET", $"/api/admin/orgs/{org}/audit")).Json()).GetProperty("items")[0];
        Assert.Equal("organization_purged", last.GetProperty("action").GetString());
        Assert.Equal(certificate.GetProperty("audit_seq").GetInt64(), last.GetProperty("id").GetInt64());
        await (await SendAsync("GET", $"/api/admin/orgs/{Guid.CreateVersion7()}/audit")).IsProblem(404, "not_found");

        Task<long> BuriedAsync() => bed.Postgres.AskAsync<long>("select count(*) from pulse.tombstones");

        async Task<(double?, double?)> PurgedAsync()
        {
            var page = await _worker.ScrapeAsync();
            return (page.Value("pulse_hosted_lifecycle_transitions_total", ("from_status", "pending_deletion"), ("to_status", "purged")), page.Value("pulse_hosted_purges_total", ("outcome", "purged")));
        }
    }

    [Theory]
    [InlineData("{\"export\":\"no\"}")]
    [InlineData("{\"export\":0}")]
    [InlineData("{\"exports\":false}")]
    [InlineData("{\"retention_days\":3,\"export\":[]}")]
    public async Task A_waiver_that_is_not_understood_is_refused_rather_than_taken_for_one(string body)
    {
        var org = await ArriveAsync("active");
        await (await SendAsync("POST", $"/api/admin/orgs/{org}/soft-delete", _key, body)).IsProblem(400, "invalid_request");
    }

    [Fact]
    public async Task A_dry_run_lists_what_is_due_and_only_its_very_list_is_confirmed()
    {
        await using var careful = bed.Worker(bed.Options with { Most = 1 });
        var orgs = new List<string> { await ArriveAsync("pending_deletion"), await ArriveAsync("pending_deletion") };
        await ArriveAsync("pending_deletion held");
        bed.Clock.Advance(TimeSpan.FromDays(31));
        await careful.DrainAsync();

        var listed = await (await SendAsync("POST", "/api/admin/reaper/dry-run")).Json();
        foreach (var org in orgs)
            Assert.Contains(org, listed.GetProperty("organizations").EnumerateArray().Select(one => one.GetProperty("org_id").GetString()));
        Assert.Equal(listed.GetProperty("count").GetInt32(), listed.GetProperty("organizations").GetArrayLength());
        var hash = listed.GetProperty("hash").GetString();
        foreach (var wrong in (string[])["{}", "{\"hash\":null}", "{\"hash\":\"abc\"}", $"{{\"hash\":\"{hash}\",\"x\":1}}", $"{{\"hash\":\"{hash!.ToUpperInvariant()}\"}}"])
            await (await SendAsync("POST", "/api/admin/reaper/confirm", _key, wrong)).IsProblem(400, "invalid_request");
        await (await ConfirmAsync(careful, new string('0', 64))).IsProblem(409, "list_changed");

        var confirmed = await ConfirmAsync(careful, hash);
        Assert.Equal(200, (int)confirmed.StatusCode);
        Assert.Equal(listed.GetProperty("count").GetInt32(), (await confirmed.Json()).GetProperty("confirmed").GetInt32());
        await careful.DrainAsync();
        foreach (var org in orgs)
            Assert.Equal("purged", await bed.StatusAsync(Guid.Parse(org)));
        Assert.Equal(0, (await (await SendAsync("POST", "/api/admin/reaper/dry-run")).Json()).GetProperty("count").GetInt32());
    }

    async Task<HttpResponseMessage> ConfirmAsync(LifecycleWorker worker, string hash)
    {
        var answer = SendAsync("POST", "/api/admin/reaper/confirm", _key, $$"""{"hash":"{{hash}}"}""");
        await UntilAnsweredAsync(worker, answer);
        return await answer;
    }

    /// <summary>Brings an organization to a place of its life, as operators and time do.</summary>
    async Task<string> ArriveAsync(string place)
    {
        if (place == "default")
            return "default";

        var org = (await bed.TenantAsync()).ToString();
        _worker.Deprovisions = place != "purging";
        if (place.StartsWith("suspended", StringComparison.Ordinal))
            await DoAsync(org, "suspend");
        if (place.Contains("pending_deletion", StringComparison.Ordinal) || place.StartsWith("purg", StringComparison.Ordinal))
            await DoAsync(org, "soft-delete");
        if (place.EndsWith(" held", StringComparison.Ordinal))
            await DoAsync(org, "hold");
        if (place.StartsWith("purg", StringComparison.Ordinal))
        {
            bed.Clock.Advance(TimeSpan.FromDays(30));
            await _worker.DrainAsync();
            Assert.Equal(place, await bed.StatusAsync(Guid.Parse(org)));
        }

        return org;
    }

    async Task<HttpResponseMessage> DoAsync(string org, string verb)
    {
        var answer = verb switch
        {
            "hold" => SendAsync("POST", $"/api/admin/orgs/{org}/legal-hold", _key, """{"reason":"a court asks"}"""),
            "release" => SendAsync("DELETE", $"/api/admin/orgs/{org}/legal-hold"),
            _ => SendAsync("POST", $"/api/admin/orgs/{org}/{verb}"),
        };
        await UntilAnsweredAsync(_worker, answer);
        await _worker.DrainAsync();
        return await answer;
    }

    /// <summary>What is counted of each move, and of how many commands it was measured how long they took.</summary>
    async Task<(Dictionary<string, double> Moves, double Applied)> CountedAsync()
    {
        var page = await _worker.ScrapeAsync();
        var moves = page.Series("pulse_hosted_lifecycle_transitions_total").ToDictionary(series => $"{series.Labels["from_status"]}→{series.Labels["to_status"]}", series => series.Value);
        // Each is there from the start, and no other ever is.
        Assert.Equal(
            ["active→pending_deletion", "active→suspended", "pending_deletion→active", "pending_deletion→purged", "pending_deletion→suspended", "suspended→active", "suspended→pending_deletion"],
            moves.Keys.Order(StringComparer.Ordinal));
        return (moves, page.Value("pulse_hosted_lifecycle_seconds_count") ?? 0);
    }

    static Task UntilAnsweredAsync(LifecycleWorker worker, Task<HttpResponseMessage> answer) => Eventually.Until(
        async () =>
        {
            await worker.DrainAsync();
            return answer.IsCompleted;
        },
        TimeSpan.FromSeconds(60), "it was answered");

    Task<HttpResponseMessage> SendAsync(string method, string path) => SendAsync(method, path, _key);

    async Task<HttpResponseMessage> SendAsync(string method, string path, string? key, string? json = null)
    {
        using var request = new HttpRequestMessage(new HttpMethod(method), path);
        if (key is not null)
            request.Headers.TryAddWithoutValidation("Authorization", $"Bearer {key}");
        if (json is not null)
            request.Content = new StringContent(json, Encoding.UTF8, "application/json");
        return await _ingress.Http.SendAsync(request);
    }

    static Guid Id(string org) => org == "default" ? new Guid("00000000-0000-7000-8000-000000000000") : Guid.Parse(org);
}
