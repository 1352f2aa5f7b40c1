using System.Security.Cryptography;

namespace Pulse.Contracts.Keys;

/// <summary>
/// A key of an operator or of one of the platform's own services, <c>pulse_&lt;id&gt;_&lt;secret&gt;</c>: what the worker's command
/// makes and ingress reads. The id is no secret; of the secret, 256 random bits, only the SHA-256 is stored.
/// </summary>
/// <remarks>A plain hash is enough for a secret that nobody can guess: a slow one is for what people think up.</remarks>
public static class AccessKey
{
    /// <summary>What every key begins with, and no other bearer token of ours.</summary>
    public const string Prefix = "pulse_";

    const int IdBytes = 8;
    const int SecretBytes = 32;
    const int Length = 6 + (2 * IdBytes) + 1 + (2 * SecretBytes);

    /// <summary>A new one.</summary>
    /// <returns>The key, to be shown once, its id, and the hash to store.</returns>
    public static (string Key, string Id, byte[] SecretHash) Create()
    {
        var id = Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(IdBytes));
        var secret = RandomNumberGenerator.GetBytes(SecretBytes);
        return ($"{Prefix}{id}_{Convert.ToHexStringLower(secret)}", id, SHA256.HashData(secret));
    }

    /// <summary>Takes a key apart.</summary>
    /// <param name="key">What somebody sent.</param>
    /// <param name="id">Its id.</param>
    /// <param name="secretHash">The SHA-256 of its secret, to compare in constant time.</param>
    /// <returns>False for what does not look like a key.</returns>
    public static bool TryRead(string key, out string id, out byte[] secretHash)
    {
        (id, secretHash) = ("", []);
        const int secretAt = 6 + (2 * IdBytes) + 1;
        if (key.Length != Length || !key.StartsWith(Prefix, StringComparison.Ordinal) || key[secretAt - 1] != '_')
            return false;
        if (!IsHex(key.AsSpan(Prefix.Length, 2 * IdBytes)) || !IsHex(key.AsSpan(secretAt)))
            return false;

        id = key.Substring(Prefix.Length, 2 * IdBytes);
        secretHash = SHA256.HashData(Convert.FromHexString(key.AsSpan(secretAt)));
        return true;
    }

    /// <summary>Whether a text is in the form of an id.</summary>
    public static bool IsId(string text) => text.Length == 2 * IdBytes && IsHex(text);

    // One spelling only.
    static bool IsHex(ReadOnlySpan<char> text)
    {
        foreach (var letter in text)
        {
            if (!char.IsAsciiHexDigitLower(letter))
                return false;
        }

        return true;
    }
}
