using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text;

namespace Pulse.Ingress.Signups;

/// <summary>A caller's Idempotency-Key. Only <see cref="Hash"/> and a fingerprint are stored, never the key.</summary>
sealed class IdempotencyKey
{
    readonly byte[] _key;

    IdempotencyKey(byte[] key)
    {
        _key = key;
        Hash = SHA256.HashData(key);
    }

    /// <summary>What it is stored under.</summary>
    public byte[] Hash { get; }

    /// <summary>What requests with the same key exclude each other by.</summary>
    public long Lock => BinaryPrimitives.ReadInt64BigEndian(Hash);

    /// <summary>1 to 255 visible ASCII characters; null for anything else.</summary>
    public static IdempotencyKey? Parse(string? header) =>
        header is { Length: >= 1 and <= 255 } && !header.AsSpan().ContainsAnyExceptInRange('!', '~')
            ? new IdempotencyKey(Encoding.ASCII.GetBytes(header))
            : null;

    /// <summary>
    /// Tells one body from another under the same key. It is an HMAC with the key, so that without the key, which is not
    /// stored, a password can't be guessed from it any faster than from its hash.
    /// </summary>
    public byte[] Fingerprint(SignupRequest request)
    {
        using var hmac = IncrementalHash.CreateHMAC(HashAlgorithmName.SHA256, _key);
        Span<byte> length = stackalloc byte[4];
        foreach (var field in (ReadOnlySpan<string?>)[request.Email, request.OrgName, request.Password])
        {
            // Lengths first, and -1 for a field that was left out: no two bodies are written alike.
            var bytes = field is null ? [] : Encoding.UTF8.GetBytes(field);
            BinaryPrimitives.WriteInt32BigEndian(length, field is null ? -1 : bytes.Length);
            hmac.AppendData(length);
            hmac.AppendData(bytes);
        }

        return hmac.GetHashAndReset();
    }
}
