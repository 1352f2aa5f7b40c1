using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Text;
using System.Text.Json;

namespace Pulse.Bench;

/// <summary>The public, each with an address and an email of his own: the limits count by both.</summary>
sealed class SignupClient : IDisposable
{
    static int _people;
    readonly HttpClient _http;

    public SignupClient(Uri ingress, int connections) =>
        _http = new HttpClient(new SocketsHttpHandler { MaxConnectionsPerServer = connections, UseProxy = false }) { BaseAddress = ingress };

    /// <returns>The signup's id.</returns>
    public async Task<Guid> SignUpAsync(bool password = false)
    {
        var person = Interlocked.Increment(ref _people);
        var secret = password ? ""","password":"correct horse battery staple" """ : "";
        using var request = new HttpRequestMessage(HttpMethod.Post, "/api/public/signup");
        request.Headers.Add("X-Forwarded-For", $"10.{(person >> 16) & 255}.{(person >> 8) & 255}.{person & 255}");
        request.Content = new StringContent(string.Create(CultureInfo.InvariantCulture,
            $$"""{"email":"owner-{{person}}-{{Environment.ProcessId}}@bench.example","org_name":"Organization {{person}}"{{secret}}}"""), Encoding.UTF8, "application/json");
        using var response = await _http.SendAsync(request);
        var body = await response.Content.ReadAsByteArrayAsync();
        if (response.StatusCode != HttpStatusCode.Accepted)
            throw new BenchmarkException($"A signup was answered {(int)response.StatusCode}: {Encoding.UTF8.GetString(body)}");

        using var answer = JsonDocument.Parse(body);
        return answer.RootElement.GetProperty("signup_id").GetGuid();
    }

    public void Dispose() => _http.Dispose();
}

/// <summary>Two ways to make load.</summary>
static class Load
{
    /// <summary>Each connection begins the next when it is done with one: as fast as it goes.</summary>
    public static async Task<Latencies> ClosedAsync(int connections, int count, Func<Task> one)
    {
        var latencies = new Latencies();
        var left = count;
        await Task.WhenAll(Enumerable.Range(0, connections).Select(_ => Task.Run(async () =>
        {
            while (Interlocked.Decrement(ref left) >= 0)
            {
                var at = Stopwatch.GetTimestamp();
                await one();
                latencies.Add(Stopwatch.GetElapsedTime(at));
            }
        })));
        return latencies;
    }

    /// <summary>At a steady rate, whether those before have been answered or not.</summary>
    public static async Task OpenAsync(int perSecond, TimeSpan length, Func<Task> one)
    {
        var begun = new List<Task>();
        using var timer = new PeriodicTimer(TimeSpan.FromSeconds(1) / perSecond);
        for (var left = (int)(perSecond * length.TotalSeconds); left > 0; left--)
        {
            await timer.WaitForNextTickAsync();
            begun.Add(one());
        }

        await Task.WhenAll(begun);
    }
}
