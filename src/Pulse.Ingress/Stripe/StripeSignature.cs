using System.Globalization;
using System.Security.Cryptography;
using System.Text;

namespace Pulse.Ingress.Stripe;

/// <summary>Whether a body is Stripe's: <c>Stripe-Signature: t=…,v1=…</c>, where v1 is HMAC-SHA256 of <c>t.body</c>.</summary>
static class StripeSignature
{
    public const string Header = "Stripe-Signature";
    const int SignaturesMost = 16;

    /// <returns>Null when it is good, else why not.</returns>
    public static SignatureFailure? Check(string? header, ReadOnlySpan<byte> body, StripeWebhookOptions options, DateTimeOffset now)
    {
        if (string.IsNullOrEmpty(header))
            return SignatureFailure.Missing;
        if (!TryParse(header, out var time, out var seconds, out var signatures))
            return SignatureFailure.Malformed;
        if (!IsSigned(time, body, signatures, options.Secrets))
            return SignatureFailure.Mismatch;

        // After the signature: so 'stale' says that a clock is wrong or a request was recorded, and not that somebody tries.
        // |now − t| with neither overflow nor a time that no calendar has.
        return Int128.Abs(now.ToUnixTimeMilliseconds() - (Int128)seconds * 1000) > (long)options.Tolerance.TotalMilliseconds
            ? SignatureFailure.Stale
            : null;
    }

    static bool TryParse(string header, out string time, out long seconds, out List<byte[]> signatures)
    {
        (time, seconds, signatures) = ("", 0, []);
        var count = 0;
        foreach (var range in header.AsSpan().Split(','))
        {
            var element = header.AsSpan(range).Trim();
            var equals = element.IndexOf('=');
            if (equals < 0)
                return false;

            var value = element[(equals + 1)..];
            switch (element[..equals])
            {
                case "t":
                    // A second one would leave it to the reader which of them was signed.
                    if (time.Length > 0 || !long.TryParse(value, NumberStyles.None, CultureInfo.InvariantCulture, out seconds))
                        return false;
                    time = value.ToString();
                    break;

                case "v1":
                    if (++count > SignaturesMost)
                        return false;
                    var signature = new byte[HMACSHA256.HashSizeInBytes];
                    // What is no signature matches nothing.
                    if (value.Length == 2 * signature.Length && Convert.FromHexString(value, signature, out _, out _) == System.Buffers.OperationStatus.Done)
                        signatures.Add(signature);
                    break;

                    // Another scheme, v0 say, is for others.
            }
        }

        return time.Length > 0 && count > 0;
    }

    // Every secret against every signature, whatever was found before: how long it takes tells nothing.
    static bool IsSigned(string time, ReadOnlySpan<byte> body, List<byte[]> signatures, IReadOnlyList<byte[]> secrets)
    {
        var good = false;
        Span<byte> expected = stackalloc byte[HMACSHA256.HashSizeInBytes];
        foreach (var secret in secrets)
        {
            using var hash = IncrementalHash.CreateHMAC(HashAlgorithmName.SHA256, secret);
            hash.AppendData(Encoding.ASCII.GetBytes(time));
            hash.AppendData("."u8);
            hash.AppendData(body);
            hash.GetHashAndReset(expected);
            foreach (var signature in signatures)
                good |= CryptographicOperations.FixedTimeEquals(expected, signature);
        }

        return good;
    }
}

/// <summary>Why a signature is not believed.</summary>
enum SignatureFailure
{
    /// <summary>There is no header.</summary>
    Missing,

    /// <summary>Not one t and 1 to 16 v1, or several headers.</summary>
    Malformed,

    /// <summary>Signed well, at another time.</summary>
    Stale,

    /// <summary>No secret of ours makes that signature of this body.</summary>
    Mismatch,
}
