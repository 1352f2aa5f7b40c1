using System.Net;
using System.Security.Claims;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;
using Microsoft.IdentityModel.JsonWebTokens;
using Microsoft.IdentityModel.Tokens;

namespace Pulse.Tests.Keys;

/// <summary>A discovery document and the key that it points to.</summary>
sealed class Issuer(WebApplication app) : IAsyncDisposable
{
    public string Address => app.Urls.First();

    public static async Task<Issuer> StartAsync(RsaSecurityKey key)
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.ConfigureKestrel(kestrel => kestrel.Listen(IPAddress.Loopback, 0));
        var app = builder.Build();
        app.MapGet("/.well-known/openid-configuration", (HttpRequest request) =>
            Results.Text($$"""{"issuer":"http://{{request.Host}}","jwks_uri":"http://{{request.Host}}/keys"}""", "application/json"));
        app.MapGet("/keys", () =>
        {
            var open = key.Rsa.ExportParameters(includePrivateParameters: false);
            return Results.Text($$"""{"keys":[{"kty":"RSA","use":"sig","kid":"{{key.KeyId}}","n":"{{Base64UrlEncoder.Encode(open.Modulus)}}","e":"{{Base64UrlEncoder.Encode(open.Exponent)}}"}]}""", "application/json");
        });
        await app.StartAsync();
        return new Issuer(app);
    }

    /// <summary>A token of it, in force for ten minutes.</summary>
    public string Token(RsaSecurityKey key, DateTimeOffset now, string audience, Dictionary<string, object> claims, string subject = "user-7") =>
        new JsonWebTokenHandler { SetDefaultTimesOnTokenCreation = false }.CreateToken(new SecurityTokenDescriptor
        {
            Issuer = Address,
            Audience = audience,
            Claims = claims,
            Subject = new ClaimsIdentity([new Claim("sub", subject)]),
            NotBefore = now.UtcDateTime,
            Expires = now.AddMinutes(10).UtcDateTime,
            SigningCredentials = new SigningCredentials(key, "RS256"),
        });

    public ValueTask DisposeAsync() => app.DisposeAsync();
}
