using Microsoft.AspNetCore.OpenApi;
using Microsoft.OpenApi;
using Pulse.Contracts.Keys;
using Pulse.Hosting;
using Pulse.Ingress.Http;

namespace Pulse.Ingress.Keys;

/// <summary>In front of every endpoint that is not the public's.</summary>
static class KeyGate
{
    const string Scheme = "Bearer ";
    const string SchemeName = "bearer";

    public static void AddKeys(this IServiceCollection services, Settings settings)
    {
        services.AddSingleton<KeyRing>();
        if (OidcOptions.Read(settings) is { } oidc)
        {
            services.AddSingleton(oidc);
            services.AddSingleton<OidcTokens>();
        }

        services.Configure<OpenApiOptions>("v1", document => document.AddDocumentTransformer((api, _, _) =>
        {
            api.Components ??= new OpenApiComponents();
            api.Components.SecuritySchemes ??= new Dictionary<string, IOpenApiSecurityScheme>();
            api.Components.SecuritySchemes[SchemeName] = new OpenApiSecurityScheme
            {
                Type = SecuritySchemeType.Http,
                Scheme = SchemeName,
                Description = $"A key, pulse_<id>_<secret>, made by ./pulse admin-key create; or a token of the configured OpenID Connect issuer. Scopes: {string.Join(", ", Scopes.All)}.",
            };
            return Task.CompletedTask;
        }));
    }

    /// <summary>Lets only those in who prove who they are and have the scope; the endpoint asks <see cref="Caller.Of"/>.</summary>
    /// <param name="endpoint">It must not read anything before its handler does: what has no key learns nothing of what it sent.</param>
    /// <param name="scope">Null: any key, and the endpoint decides.</param>
    public static RouteHandlerBuilder RequireScope(this RouteHandlerBuilder endpoint, string? scope)
    {
        endpoint.AddEndpointFilter(async (invocation, next) =>
            await RefusalAsync(invocation.HttpContext, scope) is { } problem ? problem.On(invocation.HttpContext) : await next(invocation));
        endpoint.ProducesProblem(StatusCodes.Status401Unauthorized);
        endpoint.ProducesProblem(StatusCodes.Status403Forbidden);
        endpoint.ProducesProblem(StatusCodes.Status503ServiceUnavailable);
        return endpoint.AddOpenApiOperationTransformer((operation, context, _) =>
        {
            operation.Security =
            [
                new OpenApiSecurityRequirement { [new OpenApiSecuritySchemeReference(SchemeName, context.Document)] = scope is null ? [] : [scope] },
            ];
            return Task.CompletedTask;
        });
    }

    /// <summary>The refusal of somebody who is known, but may not do this. Sets WWW-Authenticate.</summary>
    public static Problem InsufficientScope(HttpContext context, string scope)
    {
        context.Response.Headers.WWWAuthenticate = $"Bearer realm=\"pulse\", error=\"insufficient_scope\", scope=\"{scope}\"";
        return new Problem(StatusCodes.Status403Forbidden, "insufficient_scope", "The key has not the scope", $"This needs the scope {scope}.");
    }

    static async ValueTask<Problem?> RefusalAsync(HttpContext context, string? scope)
    {
        var token = Token(context.Request.Headers);
        if (token is null || await FindAsync(context, token) is not { } caller)
            return Unauthorized(context, token is not null);
        if (scope is not null && !caller.Scopes.Contains(scope))
            return InsufficientScope(context, scope);

        context.Features.Set(caller);
        return null;
    }

    static async ValueTask<Caller?> FindAsync(HttpContext context, string token)
    {
        var services = context.RequestServices;
        if (token.StartsWith(AccessKey.Prefix, StringComparison.Ordinal))
            return await services.GetRequiredService<KeyRing>().FindAsync(token, context.RequestAborted);

        return services.GetService<OidcTokens>() is { } tokens ? await tokens.FindAsync(token, context.RequestAborted) : null;
    }

    static string? Token(IHeaderDictionary headers) =>
        headers.Authorization is [{ } only] && only.StartsWith(Scheme, StringComparison.OrdinalIgnoreCase) ? only[Scheme.Length..].Trim() : null;

    // Unknown, wrong, expired, revoked: which of them is nobody's business.
    static Problem Unauthorized(HttpContext context, bool tried)
    {
        context.Response.Headers.WWWAuthenticate = tried ? "Bearer realm=\"pulse\", error=\"invalid_token\"" : "Bearer realm=\"pulse\"";
        return new Problem(StatusCodes.Status401Unauthorized, "unauthorized", "A key is needed",
            tried ? "The key is not valid, or no longer." : "Send a key: Authorization: Bearer pulse_<id>_<secret>.");
    }
}
