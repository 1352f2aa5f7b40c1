using System.Collections.Frozen;
using System.Security.Claims;
using Microsoft.IdentityModel.JsonWebTokens;
using Microsoft.IdentityModel.Protocols;
using Microsoft.IdentityModel.Protocols.OpenIdConnect;
using Microsoft.IdentityModel.Tokens;
using Pulse.Contracts.Keys;

namespace Pulse.Ingress.Keys;

/// <summary>Knows whose token it is: signed by the issuer, meant for us, in force by our clock.</summary>
sealed partial class OidcTokens
{
    const int SubjectMost = 255;
    static readonly TimeSpan Skew = TimeSpan.FromMinutes(1);

    // What an issuer signs with; none with a shared secret, and not 'none'.
    static readonly string[] Algorithms = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512"];

    readonly JsonWebTokenHandler _handler = new() { MapInboundClaims = false };
    readonly ConfigurationManager<OpenIdConnectConfiguration> _issuer;
    readonly TokenValidationParameters _parameters;
    readonly ILogger<OidcTokens> _log;

    public OidcTokens(OidcOptions options, TimeProvider clock, ILogger<OidcTokens> log)
    {
        _log = log;
        _issuer = new ConfigurationManager<OpenIdConnectConfiguration>(
            $"{options.Authority.AbsoluteUri.TrimEnd('/')}/.well-known/openid-configuration",
            new OpenIdConnectConfigurationRetriever(),
            new HttpDocumentRetriever(new HttpClient { Timeout = TimeSpan.FromSeconds(5), MaxResponseContentBufferSize = 1 << 20 })
            {
                RequireHttps = !options.Authority.IsLoopback,
            });
        _parameters = new TokenValidationParameters
        {
            // Fetches the keys again when a token names one that is new.
            ConfigurationManager = _issuer,
            ValidAudience = options.Audience,
            ValidAlgorithms = Algorithms,
            RequireSignedTokens = true,
            LifetimeValidator = (from, until, _, _) => IsInForce(from, until, clock.GetUtcNow().UtcDateTime),
        };
    }

    /// <summary>Who a token speaks of; null when it is not good.</summary>
    /// <exception cref="TimeoutException">The issuer does not answer, and its keys are not known yet.</exception>
    public async Task<Caller?> FindAsync(string token, CancellationToken cancellationToken) =>
        await VerifyAsync(token, _parameters, cancellationToken) is { } identity && Subject(identity) is { } subject
            ? new Caller($"oidc:{subject}", ScopesOf(identity))
            : null;

    /// <summary>What a token says that is meant for <paramref name="audience"/>; null when it is not good.</summary>
    /// <exception cref="TimeoutException">The issuer does not answer, and its keys are not known yet.</exception>
    public Task<ClaimsIdentity?> VerifyAsync(string token, string audience, CancellationToken cancellationToken) =>
        VerifyAsync(token, audience == _parameters.ValidAudience ? _parameters : For(audience), cancellationToken);

    TokenValidationParameters For(string audience)
    {
        var parameters = _parameters.Clone();
        parameters.ValidAudience = audience;
        return parameters;
    }

    async Task<ClaimsIdentity?> VerifyAsync(string token, TokenValidationParameters parameters, CancellationToken cancellationToken)
    {
        // What is not in the form of a token must not make us ask the issuer.
        if (!_handler.CanReadToken(token))
            return null;

        try
        {
            await _issuer.GetConfigurationAsync(cancellationToken);
        }
        catch (Exception exception) when (exception is InvalidOperationException or IOException or HttpRequestException)
        {
            IssuerUnavailable(_log, exception.Message);
            throw new TimeoutException("The issuer of tokens does not answer.", exception);
        }

        var result = await _handler.ValidateTokenAsync(token, parameters);
        if (!result.IsValid)
        {
            Refused(_log, result.Exception);
            return null;
        }

        return result.ClaimsIdentity;
    }

    static string? Subject(ClaimsIdentity identity) =>
        identity.FindFirst("sub")?.Value is { Length: > 0 and <= SubjectMost } subject && !subject.Any(char.IsControl) ? subject : null;

    /// <summary>The scopes of ours: <c>scope</c> is one text with spaces (RFC 8693), <c>scp</c> that or a list.</summary>
    static FrozenSet<string> ScopesOf(ClaimsIdentity identity) => identity.Claims
        .Where(claim => claim.Type is "scope" or "scp")
        .SelectMany(claim => claim.Value.Split(' ', StringSplitOptions.RemoveEmptyEntries))
        .Where(Scopes.All.Contains)
        .ToFrozenSet(StringComparer.Ordinal);

    internal static bool IsInForce(DateTime? from, DateTime? until, DateTime now) =>
        until is { } end && now < end + Skew && (from is not { } start || start - Skew <= now);

    [LoggerMessage(Level = LogLevel.Warning, Message = "PULSE_OIDC_AUTHORITY's discovery document can't be read: {Reason}")]
    static partial void IssuerUnavailable(ILogger logger, string reason);

    [LoggerMessage(Level = LogLevel.Debug, Message = "A bearer token was refused")]
    static partial void Refused(ILogger logger, Exception? reason);
}
