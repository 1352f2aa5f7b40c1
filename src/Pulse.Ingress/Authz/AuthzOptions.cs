using System.Runtime.InteropServices;
using System.Security.Cryptography;
using Pulse.Hosting;
using Pulse.Ingress.Keys;

namespace Pulse.Ingress.Authz;

/// <summary>What is answered when an organization can't be read.</summary>
enum UnknownPolicy
{
    /// <summary>What was read last goes on, however old; who was never read is denied.</summary>
    LastKnown,

    /// <summary>What was read last goes on; who was never read is allowed.</summary>
    Open,

    /// <summary>What is older than the bound is no answer: 503.</summary>
    Closed,
}

/// <summary>How /authz answers, and whom.</summary>
sealed class AuthzOptions
{
    const string KeyName = "PULSE_AUTHZ_KEY";
    const string UnknownName = "PULSE_AUTHZ_UNKNOWN";
    const string ClaimName = "PULSE_AUTHZ_ORG_CLAIM";
    const string AudienceName = "PULSE_AUTHZ_AUDIENCE";
    const int KeyLeast = 32;

    readonly IReadOnlyList<string> _keys;

    AuthzOptions(IReadOnlyList<string> keys) => _keys = keys;

    public required UnknownPolicy Unknown { get; init; }

    /// <summary>Requests that an organization may send in a minute. 1 to 10 000 000.</summary>
    public required int RatePerMinute { get; init; }

    /// <summary>The claim of a token that names the organization; null: tokens are not looked at.</summary>
    public required string? OrgClaim { get; init; }

    /// <summary>What those tokens must be meant for.</summary>
    public required string Audience { get; init; }

    /// <returns>Null when no key is set: the endpoint is not there then.</returns>
    public static AuthzOptions? Read(Settings settings)
    {
        var keys = settings.Secrets(KeyName, $"what the platform's proxies send as {AuthzHeaders.Key}, {KeyLeast} characters or more, such as of `openssl rand -hex 32`; several are separated by commas");
        if (keys is not null && keys.Any(key => key.Length < KeyLeast || key.Any(letter => letter is <= ' ' or > '~')))
            settings.Mistake(KeyName, $"has a key of fewer than {KeyLeast} characters, or one that is not of visible ASCII characters. Somebody who guesses it can use up every organization's rate.");

        var options = new AuthzOptions(keys ?? [])
        {
            Unknown = Policy(settings),
            RatePerMinute = settings.Number("PULSE_AUTHZ_RATE_PER_MINUTE", otherwise: 2000, least: 1, most: 10_000_000),
            OrgClaim = settings.Optional(ClaimName),
            Audience = settings.Optional(AudienceName) ?? settings.Optional(OidcOptions.AudienceName) ?? "",
        };
        if (options.OrgClaim is not null && settings.Optional(OidcOptions.AuthorityName) is null)
            settings.Mistake(ClaimName, $"is set, but {OidcOptions.AuthorityName} is not: nobody's tokens could be verified.");
        return keys is null ? null : options;
    }

    /// <summary>Whether a proxy has shown a key. Takes as long for a wrong one as for a right one of its length.</summary>
    public bool Holds(string? shown)
    {
        var holds = false;
        for (var i = 0; i < _keys.Count; i++)
            holds |= CryptographicOperations.FixedTimeEquals(MemoryMarshal.AsBytes(_keys[i].AsSpan()), MemoryMarshal.AsBytes(shown.AsSpan()));
        return holds;
    }

    static UnknownPolicy Policy(Settings settings)
    {
        switch (settings.Optional(UnknownName))
        {
            case null: return UnknownPolicy.LastKnown;
            case "open": return UnknownPolicy.Open;
            case "closed": return UnknownPolicy.Closed;
            case var value:
                settings.Mistake(UnknownName, $"is '{value}', but must be open or closed. Without it what is known last goes on, and who was never known is denied.");
                return UnknownPolicy.LastKnown;
        }
    }
}

static class AuthzHeaders
{
    /// <summary>The proxy's: proves that it is one.</summary>
    public const string Key = "X-Pulse-Authz-Key";

    /// <summary>The proxy's: <c>nginx</c>, which understands only 2xx, 401 and 403.</summary>
    public const string Proxy = "X-Pulse-Proxy";

    public const string Org = "X-Pulse-Org-Id";
    public const string Capability = "X-Pulse-Capability";
    public const string Reason = "X-Pulse-Reason";
    public const string Freshness = "X-Pulse-Freshness";
}
