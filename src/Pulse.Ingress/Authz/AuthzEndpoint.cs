using Microsoft.AspNetCore.OpenApi;
using Microsoft.OpenApi;
using Pulse.Entitlements;
using Pulse.Hosting;
using Pulse.Ingress.Http;
using Pulse.Ingress.Keys;

namespace Pulse.Ingress.Authz;

/// <summary>
/// <c>/authz</c>, which the platform's proxies ask before they pass a request on. nginx's auth_request and Traefik's forwardAuth send GET to
/// it; Envoy's ext_authz sends the request's own method, and its path behind the prefix. So every method and every path below is the same.
/// </summary>
static class AuthzEndpoint
{
    const string Path = "/authz";
    const string SchemeName = "authz_key";

    /// <summary>Without a key in the environment anybody could ask, and nothing is registered.</summary>
    public static void AddAuthz(this IServiceCollection services, Settings settings)
    {
        if (AuthzOptions.Read(settings) is not { } options)
            return;

        services.AddSingleton(options);
        services.AddSingleton<AuthzMetrics>();
        services.AddSingleton(new OrgRateLimit(options.RatePerMinute));
        services.AddSingleton(provider => new AuthzGate(
            options, provider.GetRequiredService<EntitlementReader>(), provider.GetRequiredService<OrgRateLimit>(), provider.GetRequiredService<AuthzMetrics>(),
            provider.GetRequiredService<TimeProvider>(), provider.GetRequiredService<ILogger<AuthzGate>>(), provider.GetService<OidcTokens>()));
        services.Describe();
    }

    public static void MapAuthz(this IEndpointRouteBuilder routes)
    {
        if (routes.ServiceProvider.GetService<AuthzOptions>() is null)
            return;

        routes.Map(Path + "/{**path}", (RequestDelegate)routes.ServiceProvider.GetRequiredService<AuthzGate>().AnswerAsync).ExcludeFromDescription();
    }

    /// <summary>What the API document says of it: by hand, as a route of every method has no place there.</summary>
    static void Describe(this IServiceCollection services) => services.Configure<OpenApiOptions>("v1", options => options.AddDocumentTransformer((api, _, _) =>
    {
        // With hosted mode off there is nothing.
        if (api.Paths is not { Count: > 0 })
            return Task.CompletedTask;

        api.Components ??= new OpenApiComponents();
        api.Components.SecuritySchemes ??= new Dictionary<string, IOpenApiSecurityScheme>();
        api.Components.SecuritySchemes[SchemeName] = new OpenApiSecurityScheme
        {
            Type = SecuritySchemeType.ApiKey,
            In = ParameterLocation.Header,
            Name = AuthzHeaders.Key,
            Description = "A key of PULSE_AUTHZ_KEY: what the platform's proxies share with Pulse.",
        };
        api.Paths[Path] = new OpenApiPathItem
        {
            Operations = new Dictionary<HttpMethod, OpenApiOperation>
            {
                [HttpMethod.Get] = new()
                {
                    OperationId = "authz",
                    Summary = "Whether an organization's request may pass: for nginx auth_request, Traefik forwardAuth and Envoy ext_authz.",
                    Description = "Any method, and any path below it, is the same. What is not allowed has X-Pulse-Reason, what was decided about an organization X-Pulse-Freshness.",
                    Security = [new OpenApiSecurityRequirement { [new OpenApiSecuritySchemeReference(SchemeName, api)] = [] }],
                    Parameters =
                    [
                        Header(AuthzHeaders.Org, "The organization: its id, or default. The proxy must set it, and not pass on what its client sent."),
                        Header(AuthzHeaders.Capability, "What the request needs; without it, only that the organization has access."),
                        Header(AuthzHeaders.Proxy, "nginx: answers that nginx makes a 500 of come as 403, told apart by X-Pulse-Reason."),
                    ],
                    Responses = new OpenApiResponses
                    {
                        ["204"] = new OpenApiResponse { Description = "Allowed." },
                        ["401"] = new OpenApiResponse { Description = "No organization, an unknown one, or a token that is not good." },
                        ["403"] = new OpenApiResponse { Description = "Denied: org_suspended, org_pending_deletion, subscription_required, capability_missing, unavailable." },
                        ["429"] = new OpenApiResponse { Description = "The organization sends too many requests." },
                        ["503"] = new OpenApiResponse { Description = "Postgres can't be asked, and PULSE_AUTHZ_UNKNOWN is closed." },
                    },
                },
            },
        };
        return Task.CompletedTask;
    }));

    static OpenApiParameter Header(string name, string description) => new()
    {
        Name = name,
        In = ParameterLocation.Header,
        Description = description,
        Schema = new OpenApiSchema { Type = JsonSchemaType.String },
    };
}
