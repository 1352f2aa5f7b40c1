using System.Globalization;
using System.Security.Cryptography;
using System.Text;

namespace Pulse.Tests.Stripe;

/// <summary>A delivery as Stripe makes one; change what a test is about.</summary>
sealed record Delivery
{
    public const string Secret = "whsec_first";

    public string Id { get; init; } = $"evt_{Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(10))}";
    public string Type { get; init; } = "customer.subscription.updated";

    /// <summary>Instead of an event of that id and type.</summary>
    public byte[]? Raw { get; init; }
    public DateTimeOffset? At { get; init; }

    /// <summary>Instead of the one header that is right.</summary>
    public IReadOnlyList<string>? Headers { get; init; }
    public string SignedWith { get; init; } = Secret;

    public byte[] Body => Raw ?? Encoding.UTF8.GetBytes(
        $$"""{"id":"{{Id}}","object":"event","api_version":"2025-03-31.basil","created":1760000000,"type":"{{Type}}","livemode":false,"data":{"object":{"id":"sub_1"} } }""");

    public static string Sign(string secret, string time, byte[] body) =>
        Convert.ToHexStringLower(HMACSHA256.HashData(Encoding.UTF8.GetBytes(secret), (byte[])[.. Encoding.UTF8.GetBytes(time + "."), .. body]));

    public string Header(DateTimeOffset now)
    {
        var time = (At ?? now).ToUnixTimeSeconds().ToString(CultureInfo.InvariantCulture);
        return $"t={time},v1={Sign(SignedWith, time, Body)},v0={new string('0', 64)}";
    }

    public async Task<HttpResponseMessage> SendAsync(TestIngress ingress, TimeProvider clock, bool chunked = false)
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, "/api/webhooks/stripe") { Content = new ByteArrayContent(Body) };
        request.Content.Headers.ContentType = new("application/json") { CharSet = "utf-8" };
        request.Headers.TransferEncodingChunked = chunked;
        foreach (var header in Headers ?? [Header(clock.GetUtcNow())])
            request.Headers.TryAddWithoutValidation("Stripe-Signature", header);

        return await ingress.Http.SendAsync(request);
    }
}
