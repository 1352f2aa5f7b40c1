using System.Globalization;
using System.Text;
using FsCheck;
using FsCheck.Fluent;
using Pulse.Contracts.Keys;
using Pulse.Tests.Signups;

namespace Pulse.Tests.Admin;

/// <summary>What the API document lists is what is tried here, so that no route is forgotten.</summary>
public sealed class EveryRouteTests(TestPostgres postgres) : AdminTests(postgres)
{
    sealed record Route(string Method, string Template, string? Scope);

    [Fact]
    public async Task The_document_has_every_route_with_its_scope()
    {
        Assert.Equal(
            [
                "DELETE /api/admin/orgs/{org_id}/billing-state/override billing:write",
                "DELETE /api/admin/orgs/{org_id}/legal-hold orgs:write",
                "GET /api/admin/audit audit:read",
                "GET /api/admin/dead-letters deadletters:read",
                "GET /api/admin/dead-letters/groups deadletters:read",
                "GET /api/admin/dead-letters/{dead_letter_id} deadletters:read",
                "GET /api/admin/operations/{operation_id} ",
                "GET /api/admin/orgs orgs:read",
                "GET /api/admin/orgs/{org_id} orgs:read",
                "GET /api/admin/orgs/{org_id}/audit audit:read",
                "GET /api/admin/orgs/{org_id}/billing-state billing:read",
                "GET /api/admin/orgs/{org_id}/billing-state/explain billing:read",
                "GET /api/admin/orgs/{org_id}/certificate orgs:read",
                "GET /api/admin/replays deadletters:read",
                "GET /api/admin/replays/{replay_id} deadletters:read",
                "GET /api/orgs/{org_id}/entitlements entitlements:read",
                "POST /access/v1/evaluation entitlements:read",
                "POST /api/admin/dead-letters/discard deadletters:write",
                "POST /api/admin/dead-letters/restore deadletters:write",
                "POST /api/admin/dead-letters/{dead_letter_id}/edit deadletters:write",
                "POST /api/admin/dead-letters/{dead_letter_id}/reveal deadletters:reveal",
                "POST /api/admin/orgs/{org_id}/legal-hold orgs:write",
                "POST /api/admin/orgs/{org_id}/restore orgs:write",
                "POST /api/admin/orgs/{org_id}/soft-delete orgs:write",
                "POST /api/admin/orgs/{org_id}/suspend orgs:write",
                "POST /api/admin/orgs/{org_id}/unsuspend orgs:write",
                "POST /api/admin/reaper/confirm orgs:write",
                "POST /api/admin/reaper/dry-run orgs:write",
                "POST /api/admin/replays deadletters:write",
                "POST /api/admin/replays/{replay_id}/cancel deadletters:write",
                "POST /api/admin/replays/{replay_id}/pause deadletters:write",
                "POST /api/admin/replays/{replay_id}/preview deadletters:write",
                "POST /api/admin/replays/{replay_id}/resume deadletters:write",
                "POST /api/admin/replays/{replay_id}/start deadletters:write",
                "PUT /api/admin/orgs/{org_id}/billing-state billing:write",
            ],
            (await RoutesAsync()).Select(route => $"{route.Method} {route.Template} {route.Scope}").Order(StringComparer.Ordinal));

        var document = await (await Ingress.Http.GetAsync("/openapi/v1.json")).Json();
        Assert.Equal("bearer", document.GetProperty("components").GetProperty("securitySchemes").GetProperty("bearer").GetProperty("scheme").GetString());
        var put = document.GetProperty("paths").GetProperty("/api/admin/orgs/{org_id}/billing-state").GetProperty("put");
        Assert.Equal(["200", "202", "400", "401", "403", "404", "412", "413", "422", "503"], put.GetProperty("responses").EnumerateObject().Select(response => response.Name).Order());
        Assert.Equal(["Idempotency-Key", "If-Match", "org_id"], put.GetProperty("parameters").EnumerateArray().Select(parameter => parameter.GetProperty("name").GetString()).Order());
        var fields = put.GetProperty("requestBody").GetProperty("content").GetProperty("application/json").GetProperty("schema").GetProperty("properties");
        Assert.Equal(["capabilities", "effect", "expires_at", "grace_until", "limits", "meters_enabled", "plan_version", "reason", "subscription_state", "trial_ends_at"],
            fields.EnumerateObject().Select(field => field.Name).Order());
    }

    [Fact]
    public async Task Nothing_is_told_without_a_key_or_with_a_key_that_lacks_the_scope()
    {
        foreach (var route in await RoutesAsync())
        {
            foreach (var id in (string[])["default", Unknown, "nonsense"])
            {
                var path = Fill(route.Template, id);
                await (await SendAsync(route.Method, path, null, "nonsense")).IsProblem(401, "unauthorized");
                if (route.Scope is null)
                    continue;

                var others = await Postgres.KeyAsync([.. Scopes.All.Where(scope => scope != route.Scope)]);
                var problem = await (await SendAsync(route.Method, path, others, "nonsense")).IsProblem(403, "insufficient_scope");
                Assert.Contains(route.Scope, problem.GetProperty("detail").GetString(), StringComparison.Ordinal);
            }
        }
    }

    [Fact]
    public async Task No_body_no_header_and_no_query_makes_a_5xx()
    {
        var key = await Postgres.KeyAsync([.. Scopes.All]);
        var org = await TenantAsync();
        var wrong = new System.Collections.Concurrent.ConcurrentBag<string>();
        var seen = new System.Collections.Concurrent.ConcurrentDictionary<int, int>();

        foreach (var route in await RoutesAsync())
        {
            // A body that is good would wait for a worker, and there is none: what is sent to an existing organization is none.
            var id = route.Method == "DELETE" ? Unknown : org.ToString();
            await Parallel.ForEachAsync(Bodies, new ParallelOptions { MaxDegreeOfParallelism = 4 }, async (body, _) =>
                Note(await SendAsync(Ingress, route.Method, Fill(route.Template, id), key, body), $"{route.Method} {route.Template} {body.Length}"));
            foreach (var query in Queries)
                Note(await SendAsync(route.Method, Fill(route.Template, Unknown) + query, key, "{}"), $"{route.Method} {route.Template}{query}");
            foreach (var (name, value) in Headers)
                Note(await SendAsync(route.Method, Fill(route.Template, Unknown), key, "{}", (name, value)), $"{route.Method} {route.Template} {name}: {value}");
            foreach (var segment in Segments)
                Note(await SendAsync(route.Method, Fill(route.Template, segment), key, "{}"), $"{route.Method} {route.Template} {segment}");
        }

        Assert.Empty(wrong);
        foreach (var status in (int[])[200, 400, 404, 413])
            Assert.True(seen.ContainsKey(status), $"{status} never came: {string.Join(' ', seen)}");
        Assert.Equal(0L, await Postgres.AskAsync<long>("select count(*) from pulse.operations"));

        void Note(HttpResponseMessage answer, string what)
        {
            seen.AddOrUpdate((int)answer.StatusCode, 1, (_, count) => count + 1);
            if ((int)answer.StatusCode is >= 500 or 202)
                wrong.Add($"{(int)answer.StatusCode}: {what}");
        }
    }

    [Fact]
    public async Task No_damaged_body_makes_a_5xx_or_an_operation_that_nobody_asked_for()
    {
        var key = await Postgres.KeyAsync(Scopes.BillingWrite);
        var whole = """{"effect":"pin","subscription_state":"active","capabilities":["api"],"limits":{"seats":5},"expires_at":"2040-01-01T00:00:00Z","reason":"r","nope":1}"""u8.ToArray();
        var org = await TenantAsync();
        // The unknown field is in each that is whole, so that none of them is good.
        var damaged = (from at in Gen.Choose(0, whole.Length - 30) from letter in Gen.Choose(0, 255) from cut in Gen.Elements(false, true) select (byte[])[.. whole[..at], (byte)letter, .. cut ? [] : whole[(at + 1)..]]).Sample(600);
        var seen = new System.Collections.Concurrent.ConcurrentDictionary<int, int>();

        await Parallel.ForEachAsync(damaged, new ParallelOptions { MaxDegreeOfParallelism = 4 }, async (body, _) =>
            seen.AddOrUpdate((int)(await SendAsync(Ingress, "PUT", $"/api/admin/orgs/{org}/billing-state", key, body)).StatusCode, 1, (_, count) => count + 1));

        Assert.Equal([400], seen.Keys);
    }

    static IEnumerable<byte[]> Bodies
    {
        get
        {
            string[] texts =
            [
                "", " ", "null", "[]", "7", "\"text\"", "{", "{}{}", "{\"a\":1,\"a\":2}", "{'a':1}", "{\"subscription_state\":{}}", "{\"subscription_state\":[[]]}",
                "{\"reason\":\"\\u0000\"}", "{\"reason\":\"\\ud800\"}", "{\"\\ud800\":1}", "{\"\\u0000\":1}", "{\"limits\":{\"a\":1e999}}", "{\"limits\":{\"a\":NaN}}", "{\"expires_at\":\"9999-12-31T23:59:59-14:00\"}",
                "{\"limits\":{\"\\ud800\":1}}", "{\"trial_ends_at\":\"0001-01-01T00:00:00Z\"}", "{\"capabilities\":[" + string.Join(',', Enumerable.Repeat("\"x\"", 5000)) + "]}",
            ];
            foreach (var text in texts)
                yield return Encoding.UTF8.GetBytes(text);

            yield return [0];
            yield return [0xff, 0xfe];
            yield return [.. "{\"reason\":\""u8, 0xc0, 0x80, .. "\"}"u8];
            yield return [.. "{\"reason\":\""u8, 0xed, 0xa0, 0x80, .. "\"}"u8];
            yield return Encoding.UTF8.GetBytes(string.Concat(Enumerable.Repeat("{\"a\":", 10_000)) + "1" + new string('}', 10_000));
            yield return Encoding.UTF8.GetBytes(new string('[', 60_000));
            yield return Encoding.UTF8.GetBytes("{\"reason\":\"" + new string('x', 65_536) + "\"}");
            yield return new byte[300_000];
        }
    }

    static readonly string[] Queries =
    [
        "?limit=%00", "?cursor=%00", "?q=%00", "?q=%ff%fe", "?q=%ed%a0%80", "?limit[]=1", "?q=" + new string('x', 4000), "?cursor=" + new string('A', 4000),
        "?status=%00", "?capability=%00", "?capability=%ed%a0%80", "?" + new string('&', 1000), "?limit=1&limit=1", "?cursor=WyJuIiwiYVx1MDAwMGIiLCIwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMCJd&q=a",
        "?q=a&cursor=WyJuIiwiXHVkODAwIiwiMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAiXQ",
    ];

    static readonly (string, string)[] Headers =
    [
        ("If-Match", "\u00ff"), ("If-Match", "\""), ("If-Match", "\"99999999999999999999\""), ("Idempotency-Key", "\u00ff"), ("Idempotency-Key", new string('x', 5000)),
        ("Content-Type", "nonsense"), ("Accept", "nonsense"), ("X-Forwarded-For", "nonsense"), ("Prefer", "\u00ff"),
    ];

    static readonly string[] Segments = ["%00", "%ff", "..", "%2e%2e", "%2F", "'", "%ed%a0%80", new('x', 3000), "{org_id}", "00000000-0000-7000-8000-000000000000%00", "\u0130"];

    static string Fill(string template, string id) =>
        System.Text.RegularExpressions.Regex.Replace(template, @"\{\w+_id\}", _ => id);

    /// <summary>Those that need a key.</summary>
    async Task<List<Route>> RoutesAsync()
    {
        var document = await (await Ingress.Http.GetAsync("/openapi/v1.json")).Json();
        var routes = new List<Route>();
        foreach (var path in document.GetProperty("paths").EnumerateObject())
        {
            foreach (var method in path.Value.EnumerateObject().Where(method => method.Value.TryGetProperty("security", out _)))
            {
                var scopes = method.Value.GetProperty("security")[0].GetProperty("bearer").EnumerateArray().Select(scope => scope.GetString()).ToList();
                routes.Add(new Route(method.Name.ToUpper(CultureInfo.InvariantCulture), path.Name, scopes.SingleOrDefault()));
            }
        }

        // All but what the public, Stripe and the platform's hook reach without a key, and what says where AuthZEN's endpoints are.
        Assert.Equal(
            document.GetProperty("paths").EnumerateObject().Where(path => !path.Name.StartsWith("/api/public/", StringComparison.Ordinal) && !path.Name.StartsWith("/api/webhooks/", StringComparison.Ordinal)
                    && !path.Name.StartsWith("/api/hooks/", StringComparison.Ordinal) && !path.Name.StartsWith("/.well-known/", StringComparison.Ordinal))
                .SelectMany(path => path.Value.EnumerateObject()).Count(),
            routes.Count);
        return routes;
    }
}
