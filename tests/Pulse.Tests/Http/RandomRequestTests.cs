using System.Collections.Concurrent;
using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.DependencyInjection;
using Npgsql;
using Pulse.Contracts.Keys;
using Pulse.Ingress.Console;
using Pulse.Tests.Admin;
using Pulse.Tests.DeadLetters;
using Pulse.Tests.Signups;
using Xunit.Abstractions;

namespace Pulse.Tests.Http;

/// <summary>Requests of any kind over every route: those of the API document, and the console's, which is not in it. PULSE_TEST_LONG=1: 20 000 of them.</summary>
public sealed class RandomRequestTests(TestPostgres postgres, ITestOutputHelper output) : AdminTests(postgres)
{
    const string AuthzKey = "authz-key-of-the-tests-0123456789abcdef";

    // Whose good answer looks as if it had not been reached: nothing is there, or the key in the form is wrong.
    static readonly string[] Apart = ["/console/{**rest}", "/console/sign-in"];

    static int Count => Environment.GetEnvironmentVariable("PULSE_TEST_LONG") == "1" ? 20_000 : 3_000;

    [Fact]
    public async Task No_request_whatever_makes_a_5xx_or_shows_the_inside()
    {
        await using var ingress = await StartAsync($"PULSE_AUTHZ_KEY={AuthzKey}", "PULSE_STRIPE_WEBHOOK_SECRET=whsec_random");
        var document = await (await ingress.Http.GetAsync("/openapi/v1.json")).Json();
        var described = document.GetProperty("paths").EnumerateObject()
            .SelectMany(path => path.Value.EnumerateObject().Select(method => (Method: method.Name.ToUpper(CultureInfo.InvariantCulture), Template: path.Name))).ToList();
        var mapped = Mapped(ingress).ToList();
        Assert.DoesNotContain(described.Except(mapped), route => route.Template != "/authz");
        var routes = described.Union(mapped).ToList();

        string[] keys = [await Postgres.KeyAsync([.. Scopes.All]), await Postgres.KeyAsync(Scopes.OrgsRead), AuthzKey];
        var ids = await IdsAsync();
        var words = Words(document)
            .Concat(["limit", "cursor", "q", "status", "capability", "user", "organization", "read", "active", AuthzKey, "nginx", "letter", "all", "ticked", "take", "next", "message", "operation_key"]).Distinct().ToArray();

        var seed = Random.Shared.Next();
        output.WriteLine($"Seed {seed}, {routes.Count} routes, of which {described.Count} in the document.");
        var generator = new RequestGenerator(new Random(seed), keys, await SessionsAsync(ingress, keys[0]), ids, words);
        var requests = Enumerable.Range(0, Count).Select(n => generator.Next(routes[n % routes.Count])).ToList();
        var seen = new ConcurrentDictionary<int, int>();
        var reached = new ConcurrentDictionary<(string, string), int>();
        var wrong = new ConcurrentQueue<string>();
        using var stop = new CancellationTokenSource();
        var worker = RefuseEveryOperationAsync(stop.Token);

        await Parallel.ForEachAsync(requests, new ParallelOptions { MaxDegreeOfParallelism = 16 }, async (request, cancellationToken) =>
        {
            using var patience = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
            patience.CancelAfter(TimeSpan.FromSeconds(60));
            var (status, text) = await request.SendAsync(ingress.Http.BaseAddress!, patience.Token);
            seen.AddOrUpdate(status, 1, (_, count) => count + 1);
            if (status is not (0 or 401 or 403 or 404 or 405) && request.Method == request.Route.Method && !text.Contains("Location: /console/sign-in?", StringComparison.Ordinal))
                reached.AddOrUpdate(request.Route, 1, (_, count) => count + 1);
            if (status >= 500 || (status == 0 && !request.BreaksOff && request.Body.Length < 60_000) || ShowsTheInside(text))
                wrong.Enqueue($"{status}: {request}\n{text[..Math.Min(text.Length, 1000)]}");
        });

        await stop.CancelAsync();
        await worker;
        output.WriteLine(string.Join(' ', seen.OrderBy(pair => pair.Key).Select(pair => $"{pair.Key}×{pair.Value}")));
        output.WriteLine($"Reached least: {string.Join(", ", routes.OrderBy(route => reached.GetValueOrDefault(route)).Take(6).Select(route => $"{route.Method} {route.Template} {reached.GetValueOrDefault(route)}"))}");
        Assert.True(wrong.IsEmpty, $"Seed {seed}, {wrong.Count} of {Count}. The first:\n{wrong.FirstOrDefault()}");
        // Each of these must have come, or the requests are not what this test is about.
        foreach (var status in (int[])[200, 204, 303, 400, 401, 403, 404, 405, 409, 413])
            Assert.True(seen.ContainsKey(status), $"{status} never came (seed {seed}): {string.Join(' ', seen.OrderBy(pair => pair.Key).Select(pair => $"{pair.Key}×{pair.Value}"))}");
        // Past the door: by chance not each in a short run.
        var missed = routes.Where(route => !Apart.Contains(route.Template) && !reached.ContainsKey(route)).ToList();
        Assert.True(missed.Count <= (Count < 20_000 ? routes.Count / 5 : 0), $"Never reached (seed {seed}): {string.Join(", ", missed)}");
    }

    /// <summary>Every route that there is.</summary>
    static IEnumerable<(string Method, string Template)> Mapped(TestIngress ingress) =>
        from endpoint in ingress.Services.GetServices<EndpointDataSource>().SelectMany(source => source.Endpoints).OfType<RouteEndpoint>()
        let template = "/" + endpoint.RoutePattern.RawText!.TrimStart('/').Replace("{documentName}", "v1", StringComparison.Ordinal)
        from method in endpoint.Metadata.GetMetadata<IHttpMethodMetadata>()?.HttpMethods is { Count: > 0 } methods ? methods : ["GET"]
        where method != "HEAD"
        select (method, template);

    /// <summary>Something of everything that a route can be about.</summary>
    async Task<Dictionary<string, string[]>> IdsAsync()
    {
        var (org, now) = (await TenantAsync(), Clock.GetUtcNow().UtcDateTime);
        var signup = await (await Ingress.SignupAsync(Some.Signup)).SignupId();
        var letters = new List<StoredLetter>();
        for (var n = 0; n < 5; n++)
            letters.Add(await new StoredLetter { OrgId = n % 2 == 0 ? org : null, Fingerprint = $"{n % 2}123456789abcdef0123456789abcdef" }.StoreAsync(Postgres));
        var (replay, operation, call) = (Guid.CreateVersion7(), Guid.CreateVersion7(), Guid.CreateVersion7());
        await Postgres.RunAsync("""
            insert into pulse.replays (replay_id, request, plan, letters, planned_by, planned_at, expires_at, changed_at)
            values ($1, '{"filter":{}}', $2::text::jsonb, 1, 'key:x', $3, $3, $3)
            """, replay, $$"""{"found":1,"capped":false,"groups":[],"samples":["{{letters[0].Id}}"],"excluded":[]}""", now);
        await Postgres.RunAsync("insert into pulse.replay_items (replay_id, position, dead_letter_id) values ($1, 1, $2)", replay, letters[0].Id);
        await Postgres.RunAsync("insert into pulse.operations (operation_id, kind, org_id, request, actor, status, requested_at) values ($1, 'org.suspend', $2, '{}', 'key:x', 'pending', $3)", operation, org, now);
        await Postgres.RunAsync("""
            insert into pulse.hook_calls (call_id, type, org_id, status, next_at, seed, created_at, updated_at) values ($1, 'provision', $2, 'waiting', $3, '\x00', $3, $3)
            """, call, org, now);
        var tokens = Enumerable.Range(0, 3).Select(_ => ConsoleSession.NewSecret()).ToArray();
        foreach (var token in tokens)
            await Postgres.RunAsync("insert into pulse.hook_tokens (token_hash, call_id, expires_at) values ($1, $2, $3)", SHA256.HashData(Encoding.ASCII.GetBytes(token)), call, now.AddDays(1));
        var purged = Guid.CreateVersion7();
        await Postgres.RunAsync("""
            insert into pulse.tombstones (org_id, purge_id, email_hashes, requested_at, started_at, purged_at, approved, counts, residue_columns, residue_rows, audit_seq)
            values ($1, $1, '{}', $2, $2, $2, false, '{}', 1, 0, 1)
            """, purged, now);
        string[] letterIds = [.. letters.Select(letter => letter.Id.ToString())];
        return new()
        {
            ["org_id"] = [org.ToString(), (await TenantAsync()).ToString(), purged.ToString(), Unknown, "default"],
            ["dead_letter_id"] = letterIds,
            ["replay_id"] = [replay.ToString()],
            ["id"] = [.. letterIds, .. Enumerable.Repeat(replay.ToString(), letterIds.Length)],
            ["fingerprint"] = [letters[0].Fingerprint, letters[1].Fingerprint],
            ["operation_id"] = [operation.ToString()],
            ["signup_id"] = [signup.ToString()],
            ["token"] = tokens,
        };
    }

    // Some are signed out on the way.
    async Task<string[]> SessionsAsync(TestIngress ingress, string key)
    {
        Assert.True(AccessKey.TryRead(key, out var keyId, out _));
        var secrets = Enumerable.Range(0, 200).Select(_ => ConsoleSession.NewSecret()).ToArray();
        var now = Clock.GetUtcNow().UtcDateTime;
        foreach (var secret in secrets)
            await SessionTable.BeginAsync(ingress.Services.GetRequiredService<NpgsqlDataSource>(), ConsoleSession.Hash(secret)!, keyId, now, now.AddHours(8), CancellationToken.None);
        return secrets;
    }

    static bool ShowsTheInside(string text) =>
        text.Contains("\n   at ", StringComparison.Ordinal) || text.Contains("\\n   at ", StringComparison.Ordinal) || text.Contains("Exception:", StringComparison.Ordinal)
        || text.Contains("Npgsql", StringComparison.Ordinal) || text.Contains("Microsoft.AspNetCore", StringComparison.Ordinal) && !text.Contains("# HELP", StringComparison.Ordinal);

    /// <summary>Every name of a field that the document has.</summary>
    static IEnumerable<string> Words(System.Text.Json.JsonElement element) => element.ValueKind switch
    {
        System.Text.Json.JsonValueKind.Object => element.EnumerateObject().SelectMany(property =>
            property.Name == "properties" && property.Value.ValueKind == System.Text.Json.JsonValueKind.Object
                ? property.Value.EnumerateObject().Select(field => field.Name).Concat(Words(property.Value))
                : Words(property.Value)),
        System.Text.Json.JsonValueKind.Array => element.EnumerateArray().SelectMany(Words),
        _ => [],
    };

    // The worker's part: who asks for something is not kept waiting, and nothing changes.
    async Task RefuseEveryOperationAsync(CancellationToken cancellationToken)
    {
        while (!cancellationToken.IsCancellationRequested)
        {
            await Postgres.RunAsync("""
                with done as (
                    update pulse.operations set status = 'refused', problem_status = 409, problem_code = 'refused', problem_detail = 'By the test.', completed_at = now()
                    where status = 'pending' returning operation_id)
                select pg_notify('pulse_operations', operation_id::text) from done
                """);
            await Task.Delay(20, CancellationToken.None);
        }
    }
}
