using System.Globalization;
using System.Security.Cryptography;
using System.Text;

namespace Pulse.Ingress.Signups;

/// <summary>At most <paramref name="Quota"/> hits in any stretch of <paramref name="Length"/>.</summary>
readonly record struct SlidingWindow(string Name, int Quota, TimeSpan Length)
{
    public static readonly SlidingWindow PerClient = new("signup-ip", 5, TimeSpan.FromHours(1));
    public static readonly SlidingWindow PerEmail = new("signup-email", 3, TimeSpan.FromHours(1));

    /// <summary>What the hits of <paramref name="subject"/> are stored under.</summary>
    public byte[] KeyHash(string subject) => SHA256.HashData(Encoding.UTF8.GetBytes($"{Name}:{subject}"));

    /// <summary>Reads what a hit left: one more than the quota means that it was one too many.</summary>
    public WindowState AfterHit(DateTime[] hits, DateTime now) => new(
        Refused: hits.Length > Quota,
        Remaining: Math.Max(0, Quota - hits.Length),
        Reset: Until(hits, now));

    /// <summary>Reads the hits that count at the moment: as many as the quota means that the next one is too many.</summary>
    public WindowState Before(DateTime[] hits, DateTime now) => new(
        Refused: hits.Length >= Quota,
        Remaining: Math.Max(0, Quota - hits.Length),
        Reset: Until(hits, now));

    // When the oldest hit no longer counts, at least a second from now, so that who waits that long is never too early.
    TimeSpan Until(DateTime[] hits, DateTime now)
    {
        var left = (hits.Length == 0 ? now : hits.Min()) + Length - now;
        return TimeSpan.FromSeconds(Math.Max(1, Math.Ceiling(left.TotalSeconds)));
    }
}

/// <summary>Where a subject stands in its window.</summary>
readonly record struct WindowState(bool Refused, int Remaining, TimeSpan Reset)
{
    /// <summary>The fields of draft-ietf-httpapi-ratelimit-headers.</summary>
    public void WriteTo(IHeaderDictionary headers)
    {
        headers["RateLimit-Policy"] = string.Create(CultureInfo.InvariantCulture,
            $"\"signup\";q={SlidingWindow.PerClient.Quota};w={SlidingWindow.PerClient.Length.TotalSeconds}");
        headers["RateLimit"] = string.Create(CultureInfo.InvariantCulture, $"\"signup\";r={Remaining};t={Reset.TotalSeconds}");
    }
}
