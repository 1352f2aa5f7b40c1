using System.Globalization;
using System.Security.Cryptography;
using System.Text;

namespace Pulse.Worker.Hooks;

/// <summary>How a call is signed: Standard Webhooks 1.0, symmetric.</summary>
static class HookSignature
{
    const string Prefix = "whsec_";

    /// <summary>The bytes of a secret as it is written down; null when it is none.</summary>
    public static byte[]? ReadSecret(string text)
    {
        if (!text.StartsWith(Prefix, StringComparison.Ordinal))
            return null;

        var secret = new byte[text.Length];
        return Convert.TryFromBase64String(text[Prefix.Length..], secret, out var length) && length is >= 24 and <= 64 ? secret[..length] : null;
    }

    /// <summary>The header webhook-signature: <c>v1,</c> and HMAC-SHA256 of id.timestamp.body in base64, once for each secret, apart by spaces.</summary>
    public static string Sign(string id, DateTimeOffset at, ReadOnlySpan<byte> body, IReadOnlyList<byte[]> secrets)
    {
        var head = Encoding.ASCII.GetBytes(string.Create(CultureInfo.InvariantCulture, $"{id}.{at.ToUnixTimeSeconds()}."));
        var signatures = new string[secrets.Count];
        for (var i = 0; i < signatures.Length; i++)
        {
            using var hash = IncrementalHash.CreateHMAC(HashAlgorithmName.SHA256, secrets[i]);
            hash.AppendData(head);
            hash.AppendData(body);
            signatures[i] = $"v1,{Convert.ToBase64String(hash.GetHashAndReset())}";
        }

        return string.Join(' ', signatures);
    }
}
