using System.Collections.Concurrent;
using System.Diagnostics;
using System.Net;
using System.Net.Http.Json;
using System.Text;
using System.Text.Json;
using Pulse.Testing;

namespace Pulse.EndToEnd.Nemesis;

/// <summary>One wish for a signup: what is asked for, and the key that every try of it carries.</summary>
sealed record Wish(int Number, string Key, string Client, SignupBody Body)
{
    /// <summary>What every 202 said; one id, or something is wrong.</summary>
    public ConcurrentBag<Guid> Answers { get; } = [];
}

/// <summary>Wants its signups, and tries each until it is acknowledged: what it was promised is in its ledger.</summary>
sealed class SignupClient(Func<IReadOnlyList<Uri>> ingresses, int seed) : IDisposable
{
    readonly HttpClient _http = new(new SocketsHttpHandler { ConnectTimeout = TimeSpan.FromSeconds(2) }) { Timeout = TimeSpan.FromSeconds(15) };
    int _tries;
    int _acknowledged;
    long _longestWait;

    public int Tries => _tries;
    public int Acknowledged => _acknowledged;

    /// <summary>From a wish's first try to its first 202.</summary>
    public TimeSpan LongestWait => new(Interlocked.Read(ref _longestWait));

    /// <summary>Answers that no outage explains.</summary>
    public ConcurrentBag<string> Unexpected { get; } = [];

    /// <summary>Every tenth email is asked for a second time, every twentieth wish has a password.</summary>
    public static List<Wish> Plan(int count, Random random)
    {
        var wishes = new List<Wish>(count);
        for (var i = 0; i < count; i++)
        {
            var body = Some.Signup with { OrgName = $"Org {i}" };
            if (i > 0 && random.Next(10) == 0 && wishes[random.Next(i)] is var earlier && wishes.Count(wish => wish.Body.Email == earlier.Body.Email) < 3)
                body = body with { Email = earlier.Body.Email };
            if (random.Next(20) == 0)
                body = body with { Password = Some.Password };
            wishes.Add(new Wish(i, Some.Key, Some.Client, body));
        }

        return wishes;
    }

    /// <summary>Until it is acknowledged. Now and then it is impatient, or asks again although it has its answer, or twice at once.</summary>
    public async Task WantAsync(Wish wish, CancellationToken cancellationToken)
    {
        var random = new Random(HashCode.Combine(seed, wish.Number));
        var since = Stopwatch.GetTimestamp();
        if (random.Next(20) == 0)
            await Task.WhenAll(UntilAcknowledgedAsync(wish, random, cancellationToken), TryAsync(wish, TimeSpan.FromSeconds(10), cancellationToken));
        else
            await UntilAcknowledgedAsync(wish, random, cancellationToken);

        Interlocked.Increment(ref _acknowledged);
        Longest(Stopwatch.GetElapsedTime(since).Ticks);
        if (random.Next(5) == 0)
            await TryAsync(wish, TimeSpan.FromSeconds(10), cancellationToken);
    }

    void Longest(long ticks)
    {
        long known;
        while ((known = Interlocked.Read(ref _longestWait)) < ticks && Interlocked.CompareExchange(ref _longestWait, ticks, known) != known)
        {
        }
    }

    async Task UntilAcknowledgedAsync(Wish wish, Random random, CancellationToken cancellationToken)
    {
        while (true)
        {
            // An impatient caller never learns how it ended.
            var patience = random.Next(20) == 0 ? TimeSpan.FromMilliseconds(random.Next(1, 40)) : TimeSpan.FromSeconds(10);
            if (await TryAsync(wish, patience, cancellationToken))
                return;
            await Task.Delay(random.Next(20, 300), cancellationToken);
        }
    }

    async Task<bool> TryAsync(Wish wish, TimeSpan patience, CancellationToken cancellationToken)
    {
        var number = Interlocked.Increment(ref _tries);
        var all = ingresses();
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        limit.CancelAfter(patience);
        try
        {
            using var request = new HttpRequestMessage(HttpMethod.Post, new Uri(all[number % all.Count], "/api/public/signup"))
            {
                Content = new StringContent(wish.Body.ToJson(), Encoding.UTF8, "application/json"),
            };
            request.Headers.Add("Idempotency-Key", wish.Key);
            request.Headers.Add("X-Forwarded-For", wish.Client);
            using var answer = await _http.SendAsync(request, limit.Token);
            switch (answer.StatusCode)
            {
                case HttpStatusCode.Accepted:
                    wish.Answers.Add((await answer.Content.ReadFromJsonAsync<JsonElement>(limit.Token)).GetProperty("signup_id").GetGuid());
                    return true;
                case HttpStatusCode.Conflict or HttpStatusCode.ServiceUnavailable:
                    return false;
                default:
                    Unexpected.Add($"{(int)answer.StatusCode} {await answer.Content.ReadAsStringAsync(limit.Token)}");
                    return false;
            }
        }
        catch (Exception exception) when (exception is HttpRequestException or IOException or OperationCanceledException)
        {
            cancellationToken.ThrowIfCancellationRequested();
            return false;
        }
    }

    public void Dispose() => _http.Dispose();
}
