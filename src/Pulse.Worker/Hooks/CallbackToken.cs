using System.Buffers.Text;
using System.Security.Cryptography;

namespace Pulse.Worker.Hooks;

/// <summary>What completes an asynchronous call: 256 bits that only Pulse and who was called know.</summary>
/// <remarks>
/// Made of a call's random seed and the hook's secret, so that every try of a call sends the same bytes: a receiver that compares the
/// body of a repeat with the first finds no difference. The database has the seed and the token's hash, and can make the token of neither.
/// </remarks>
static class CallbackToken
{
    public static byte[] NewSeed() => RandomNumberGenerator.GetBytes(32);

    public static string Of(byte[] secret, byte[] seed) => Base64Url.EncodeToString(HMACSHA256.HashData(secret.AsSpan(), [.. "callback"u8, .. seed]));

    /// <summary>As it is stored, and looked up by ingress.</summary>
    public static byte[] Hash(string token) => SHA256.HashData(System.Text.Encoding.ASCII.GetBytes(token));
}
