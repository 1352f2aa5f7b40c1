using System.Diagnostics;
using System.Globalization;
using System.Net.Http.Headers;
using System.Text.Json;

namespace Pulse.Bench;

/// <summary>
/// What an operator reads, page by page over HTTP, with few and with many organizations there: the list from its beginning and on, by
/// a rare status, by the beginning of a name that many have and of an email that one has. Not in turn: filling takes longer than measuring.
/// </summary>
static class OrganizationsBenchmark
{
    const int Few = 1_000;
    const int Pages = 200;
    const int Limit = 50;

    // A hundred of each, however many there are.
    const string NotActiveSql = """
        update pulse.organizations set status = 'suspended', suspended_at = now()
        where org_id in (select org_id from pulse.organizations where not is_default order by org_id limit 100)
        """;

    public static async Task<Outcome> RunAsync(Bench bench)
    {
        await bench.Servers.StartProcessesAsync();
        await using var dataSource = bench.Servers.OpenPulse();
        await PulseDatabase.QuietAsync(dataSource, TimeSpan.FromMinutes(2));
        await PulseDatabase.EmptyAsync(bench, dataSource);
        using var http = new HttpClient(new SocketsHttpHandler { UseProxy = false }) { BaseAddress = bench.Servers.Ingress };
        http.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", bench.Servers.AdminKey);
        var few = new Side($"with {Few:#,0} organizations, pages of {Limit}");
        var many = new Side($"with {bench.Options.Organizations:#,0} organizations, pages of {Limit}");

        await PulseDatabase.SeedAsync(bench, dataSource, 0, Few);
        await dataSource.RunAsync(NotActiveSql);
        await bench.AlternateAsync(() => MeasureAsync(http, Few, 20), (few, () => MeasureAsync(http, Few, Pages)));

        bench.Say($"adding organizations up to {bench.Options.Organizations}");
        await PulseDatabase.SeedAsync(bench, dataSource, Few, bench.Options.Organizations);
        await bench.AlternateAsync(() => MeasureAsync(http, bench.Options.Organizations, 20), (many, () => MeasureAsync(http, bench.Options.Organizations, Pages)));

        await PulseDatabase.EmptyAsync(bench, dataSource);
        return new Outcome { Measured = many, Bound = few, Ratio = new Ratio("page by page, p50", "page by page, p50") };
    }

    static async Task<IEnumerable<Value>> MeasureAsync(HttpClient http, int organizations, int pages)
    {
        var values = new List<Value>();
        string? cursor = null;
        values.AddRange(await TimesAsync("the first page", _ => ""));
        cursor = null;
        // On and on from the first: what a page costs must not depend on where it is.
        values.AddRange(await TimesAsync("page by page", _ => cursor is null ? "" : $"&cursor={Uri.EscapeDataString(cursor)}"));
        values.AddRange(await TimesAsync("suspended", _ => "&status=suspended"));
        values.AddRange(await TimesAsync("by a name's beginning, all match", _ => "&q=Organization"));
        values.AddRange(await TimesAsync("by an email, one matches", page => string.Create(CultureInfo.InvariantCulture, $"&q=seed-{(page * 7919 % organizations) + 1}@bench.example")));
        return values;

        async Task<IEnumerable<Value>> TimesAsync(string what, Func<int, string> query)
        {
            var latencies = new Latencies();
            for (var page = 0; page < pages; page++)
            {
                var at = Stopwatch.GetTimestamp();
                using var answer = await http.GetAsync(new Uri($"/api/admin/orgs?limit={Limit}{query(page)}", UriKind.Relative));
                var body = await answer.Content.ReadAsByteArrayAsync();
                latencies.Add(Stopwatch.GetElapsedTime(at));
                if (!answer.IsSuccessStatusCode)
                    throw new BenchmarkException($"GET /api/admin/orgs was answered {(int)answer.StatusCode}.");

                using var parsed = JsonDocument.Parse(body);
                if (parsed.RootElement.GetProperty("items").GetArrayLength() == 0)
                    throw new BenchmarkException($"A page is empty: {what}.");
                cursor = parsed.RootElement.GetProperty("next_cursor").GetString();
            }

            return latencies.Percentiles(what);
        }
    }
}
