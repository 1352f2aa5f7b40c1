using System.Collections.Concurrent;
using System.Globalization;
using Pulse.Contracts.Keys;
using Pulse.Tests.Admin;
using Pulse.Tests.Signups;

namespace Pulse.Tests.Http;

/// <summary>Requests of any kind over every route of the API document. PULSE_TEST_LONG=1: 20 000 of them.</summary>
public sealed class RandomRequestTests(TestPostgres postgres) : AdminTests(postgres)
{
    const string AuthzKey = "authz-key-of-the-tests-0123456789abcdef";

    static int Count => Environment.GetEnvironmentVariable("PULSE_TEST_LONG") == "1" ? 20_000 : 3_000;

    [Fact]
    public async Task No_request_whatever_makes_a_5xx_or_shows_the_inside()
    {
        await using var ingress = await StartAsync($"PULSE_AUTHZ_KEY={AuthzKey}", "PULSE_STRIPE_WEBHOOK_SECRET=whsec_random");
        var document = await (await ingress.Http.GetAsync("/openapi/v1.json")).Json();
        var routes = document.GetProperty("paths").EnumerateObject()
            .SelectMany(path => path.Value.EnumerateObject().Select(method => (method.Name.ToUpper(CultureInfo.InvariantCulture), path.Name)))
            .Append(("GET", "/authz/{path}")).Append(("GET", "/openapi/v1.json")).Append(("GET", "/health/live")).Append(("GET", "/health/ready")).Append(("GET", "/metrics"))
            .ToList();
        string[] keys = [await Postgres.KeyAsync([.. Scopes.All]), await Postgres.KeyAsync(Scopes.OrgsRead), AuthzKey];
        string[] orgs = [(await TenantAsync()).ToString(), (await TenantAsync()).ToString(), Unknown, "default"];
        var words = Words(document).Concat(["limit", "cursor", "q", "status", "capability", "user", "organization", "read", "active", AuthzKey, "nginx"]).Distinct().ToArray();

        var seed = Random.Shared.Next();
        var generator = new RequestGenerator(new Random(seed), routes, keys, orgs, words);
        var requests = Enumerable.Range(0, Count).Select(_ => generator.Next()).ToList();
        var seen = new ConcurrentDictionary<int, int>();
        var wrong = new ConcurrentQueue<string>();
        using var stop = new CancellationTokenSource();
        var worker = RefuseEveryOperationAsync(stop.Token);

        await Parallel.ForEachAsync(requests, new ParallelOptions { MaxDegreeOfParallelism = 16 }, async (request, cancellationToken) =>
        {
            using var patience = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
            patience.CancelAfter(TimeSpan.FromSeconds(60));
            var (status, text) = await request.SendAsync(ingress.Http.BaseAddress!, patience.Token);
            seen.AddOrUpdate(status, 1, (_, count) => count + 1);
            if (status >= 500 || (status == 0 && !request.BreaksOff && request.Body.Length < 60_000) || ShowsTheInside(text))
                wrong.Enqueue($"{status}: {request}\n{text[..Math.Min(text.Length, 1000)]}");
        });

        await stop.CancelAsync();
        await worker;
        Assert.True(wrong.IsEmpty, $"Seed {seed}, {wrong.Count} of {Count}. The first:\n{wrong.FirstOrDefault()}");
        // Each of these must have come, or the requests are not what this test is about.
        foreach (var status in (int[])[200, 204, 400, 401, 403, 404, 405, 413])
            Assert.True(seen.ContainsKey(status), $"{status} never came (seed {seed}): {string.Join(' ', seen.OrderBy(pair => pair.Key).Select(pair => $"{pair.Key}×{pair.Value}"))}");
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
