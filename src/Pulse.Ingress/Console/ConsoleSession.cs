using System.Buffers.Text;
using System.Security.Cryptography;
using System.Text;

namespace Pulse.Ingress.Console;

/// <summary>The secrets of a session. The cookie holds 256 random bits; stored is their hash, and forms are signed with them.</summary>
static class ConsoleSession
{
    /// <summary>How long one lasts, used or not.</summary>
    public static readonly TimeSpan Length = TimeSpan.FromHours(8);

    const int Bytes = 32;

    public static string NewSecret() => Base64Url.EncodeToString(RandomNumberGenerator.GetBytes(Bytes));

    /// <summary>What a session is stored under; null for what is no secret of ours.</summary>
    public static byte[]? Hash(string? secret) =>
        secret is { Length: 43 } && Base64Url.IsValid(secret) ? SHA256.HashData(Encoding.ASCII.GetBytes(secret)) : null;

    /// <summary>
    /// What a form of this session carries. It follows from the cookie, which no other site can read: so any ingress can check it, and
    /// none has to remember it.
    /// </summary>
    public static string FormToken(string secret) =>
        Base64Url.EncodeToString(HMACSHA256.HashData(Encoding.ASCII.GetBytes(secret), "pulse console form"u8));

    public static bool IsFormToken(string secret, string? token) =>
        token is not null && CryptographicOperations.FixedTimeEquals(Encoding.UTF8.GetBytes(FormToken(secret)), Encoding.UTF8.GetBytes(token));

    /// <summary>Over TLS the name itself makes the browser insist on Secure.</summary>
    public static string CookieName(bool secure) => secure ? "__Secure-pulse-console" : "pulse-console";

    /// <summary>For the form of somebody who has no session yet.</summary>
    public static string GuestCookieName(bool secure) => secure ? "__Secure-pulse-console-guest" : "pulse-console-guest";

    // It ends with the browser; on the server after eight hours at the latest.
    public static CookieOptions Cookie(bool secure) => new()
    {
        HttpOnly = true,
        Secure = secure,
        SameSite = SameSiteMode.Strict,
        Path = ConsolePath.Root,
        IsEssential = true,
    };
}
