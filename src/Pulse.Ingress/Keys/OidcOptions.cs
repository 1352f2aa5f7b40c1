using Pulse.Hosting;

namespace Pulse.Ingress.Keys;

/// <summary>Whose tokens are believed beside our own keys.</summary>
/// <param name="Authority">The issuer; its discovery document names its keys.</param>
/// <param name="Audience">What a token must be meant for.</param>
sealed record OidcOptions(Uri Authority, string Audience)
{
    public const string AuthorityName = "PULSE_OIDC_AUTHORITY";
    public const string AudienceName = "PULSE_OIDC_AUDIENCE";

    /// <summary>Null: no tokens but our own keys.</summary>
    public static OidcOptions? Read(Settings settings)
    {
        var (authority, audience) = (settings.Optional(AuthorityName), settings.Optional(AudienceName));
        if (authority is null && audience is null)
            return null;

        if (audience is null)
            settings.Mistake(AudienceName, $"is not set, but {AuthorityName} is: a token that was meant for another program would be taken.");
        if (authority is null)
            settings.Mistake(AuthorityName, $"is not set, but {AudienceName} is. It is the issuer's address, such as https://login.example.org/realms/platform.");

        // In the clear, whoever is on the way could hand out keys of his own.
        if (Uri.TryCreate(authority?.TrimEnd('/'), UriKind.Absolute, out var url) && (url.Scheme == "https" || (url.Scheme == "http" && url.IsLoopback)))
            return audience is null ? null : new OidcOptions(url, audience);

        if (authority is not null)
            settings.Mistake(AuthorityName, $"is '{authority}', but must be an https address such as https://login.example.org/realms/platform.");
        return null;
    }
}
