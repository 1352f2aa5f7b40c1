using System.Globalization;
using System.Net;
using System.Security.Cryptography;
using System.Text;

namespace Pulse.Bench;

/// <summary>One delivery, signed.</summary>
sealed record WebhookEvent(string Id, byte[] Body, string Signature);

/// <summary>Stripe's side of the webhooks. Signs with code of its own, beforehand: it is not Stripe that is measured.</summary>
sealed class WebhookClient : IDisposable
{
    static int _events;
    readonly HttpClient _http;
    readonly byte[] _secret;

    public WebhookClient(Uri ingress, string secret, int connections)
    {
        _http = new HttpClient(new SocketsHttpHandler { MaxConnectionsPerServer = connections, UseProxy = false }) { BaseAddress = ingress };
        _secret = Encoding.UTF8.GetBytes(secret);
    }

    /// <summary>Events of <paramref name="bytes"/> bytes, each of another id, signed now: they are good for five minutes.</summary>
    public WebhookEvent[] Make(int count, int bytes)
    {
        var events = new WebhookEvent[count];
        for (var i = 0; i < count; i++)
        {
            var number = Interlocked.Increment(ref _events);
            // As Stripe's: nothing in its order.
            var id = $"evt_{Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(6))}{number}";
            var seconds = DateTimeOffset.UtcNow.ToUnixTimeSeconds().ToString(CultureInfo.InvariantCulture);
            var body = new StringBuilder(string.Create(CultureInfo.InvariantCulture,
                $$"""{"id":"{{id}}","object":"event","api_version":"2025-03-31.basil","created":{{seconds}},"livemode":false,"type":"customer.subscription.updated","data":{"object":{"id":"sub_{{number}}","customer":"cus_{{number % 1000}}","metadata":{"""));
            for (var key = 0; body.Length < bytes - 60; key++)
                body.Append(CultureInfo.InvariantCulture, $"\"key_{key}\":\"{RandomNumberGenerator.GetInt32(int.MaxValue):x8}\",");
            body.Append("\"last\":\"").Append('x', Math.Max(0, bytes - body.Length - 13)).Append("\"}}}}");
            var payload = Encoding.UTF8.GetBytes(body.ToString());
            var signature = Convert.ToHexStringLower(HMACSHA256.HashData(_secret, (byte[])[.. Encoding.ASCII.GetBytes(seconds + "."), .. payload]));
            events[i] = new WebhookEvent(id, payload, $"t={seconds},v1={signature}");
        }

        return events;
    }

    /// <exception cref="BenchmarkException">It was not answered with that status.</exception>
    public async Task SendAsync(WebhookEvent one, string status)
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, "/api/webhooks/stripe") { Content = new ByteArrayContent(one.Body) };
        request.Content.Headers.ContentType = new("application/json");
        request.Headers.TryAddWithoutValidation("Stripe-Signature", one.Signature);
        using var response = await _http.SendAsync(request);
        var answer = await response.Content.ReadAsStringAsync();
        if (response.StatusCode != HttpStatusCode.OK || !answer.Contains(status, StringComparison.Ordinal))
            throw new BenchmarkException($"An event was answered {(int)response.StatusCode} and not {status}: {answer}");
    }

    public void Dispose() => _http.Dispose();
}
