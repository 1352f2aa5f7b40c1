using System.Globalization;
using System.Security.Cryptography;
using System.Text;

namespace Pulse.StripeDouble.Webhooks;

/// <summary>The <c>Stripe-Signature</c> header, as Stripe's documentation describes it. Nothing of Pulse's is in it.</summary>
public static class Signature
{
    /// <summary><c>t=…,v1=…</c>, with a v1 for each secret.</summary>
    public static string Header(ReadOnlySpan<byte> body, DateTimeOffset time, params IReadOnlyList<string> secrets)
    {
        var seconds = time.ToUnixTimeSeconds().ToString(CultureInfo.InvariantCulture);
        var signed = new byte[seconds.Length + 1 + body.Length];
        Encoding.ASCII.GetBytes(seconds, signed);
        signed[seconds.Length] = (byte)'.';
        body.CopyTo(signed.AsSpan(seconds.Length + 1));

        var header = new StringBuilder("t=").Append(seconds);
        foreach (var secret in secrets)
            header.Append(",v1=").Append(Convert.ToHexStringLower(HMACSHA256.HashData(Encoding.UTF8.GetBytes(secret), signed)));

        return header.ToString();
    }
}
