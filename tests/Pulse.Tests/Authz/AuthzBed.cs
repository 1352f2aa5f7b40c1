using System.Net.Http.Headers;
using Microsoft.Extensions.DependencyInjection;
using Pulse.Entitlements;
using Pulse.Ingress.Authz;
using Pulse.Tests.Admin;
using Pulse.Tests.Signups;

namespace Pulse.Tests.Authz;

/// <summary>An ingress that the platform's proxies ask.</summary>
public abstract class AuthzBed(TestPostgres postgres) : AdminTests(postgres)
{
    protected const string Key = "authz-key-of-the-tests-0123456789abcdef";

    TestIngress? _proxied;

    protected TestIngress Proxied => _proxied ?? throw new InvalidOperationException("Not started.");

    /// <summary>Beyond the key.</summary>
    protected virtual string[] Variables => [];

    public override async Task InitializeAsync()
    {
        await base.InitializeAsync();
        _proxied = await StartAsync([$"PULSE_AUTHZ_KEY={Key}", .. Variables]);
        await HearsAsync(_proxied);
    }

    /// <summary>Waits until an ingress hears of changes: what it read before that is last known, and not fresh.</summary>
    protected static Task HearsAsync(TestIngress ingress) => Eventually.Until(
        () => ingress.Services.GetRequiredService<EntitlementReader>().Generation > 0, TimeSpan.FromSeconds(15), "the ingress hears of changes");

    public override async Task DisposeAsync()
    {
        await (_proxied?.DisposeAsync() ?? default);
        await base.DisposeAsync();
    }

    /// <summary>A tenant with a subscription that has these capabilities.</summary>
    protected async Task<Guid> SubscriberAsync(params string[] capabilities)
    {
        var org = await TenantAsync();
        await TimelineAsync(org,
            [new { from = Clock.GetUtcNow(), state = "active", plan_version = "pro", capabilities, limits = new { }, meters_enabled = Array.Empty<string>(), source = "stripe" }]);
        return org;
    }

    /// <summary>As a proxy asks.</summary>
    protected Task<HttpResponseMessage> AskAsync(object? org, string? capability = null, params (string Name, string Value)[] headers) =>
        AskAsync(Proxied, "GET", "/authz", org, capability, headers);

    protected static async Task<HttpResponseMessage> AskAsync(
        TestIngress ingress, string method, string path, object? org, string? capability = null, params (string Name, string Value)[] headers)
    {
        using var request = new HttpRequestMessage(new HttpMethod(method), path);
        if (!headers.Any(header => header.Name == "X-Pulse-Authz-Key"))
            request.Headers.Add("X-Pulse-Authz-Key", Key);
        if (org is not null)
            request.Headers.TryAddWithoutValidation("X-Pulse-Org-Id", org.ToString());
        if (capability is not null)
            request.Headers.TryAddWithoutValidation("X-Pulse-Capability", capability);
        foreach (var (name, value) in headers)
            request.Headers.TryAddWithoutValidation(name, value);
        if (method is "POST" or "PUT" or "PATCH")
        {
            request.Content = new ByteArrayContent(new byte[10_000]);
            request.Content.Headers.ContentType = new MediaTypeHeaderValue("application/octet-stream");
        }

        return await ingress.Http.SendAsync(request);
    }

    protected static async Task Allows(HttpResponseMessage answer, string freshness = "fresh")
    {
        Assert.Equal((204, freshness), ((int)answer.StatusCode, answer.Header("X-Pulse-Freshness")));
        Assert.Null(answer.Header("X-Pulse-Reason"));
        Assert.Empty(await answer.Content.ReadAsByteArrayAsync());
    }

    protected static async Task Denies(HttpResponseMessage answer, int status, string reason)
    {
        await answer.IsProblem(status, reason);
        Assert.Equal(reason, answer.Header("X-Pulse-Reason"));
    }

    private protected static long Counted(TestIngress ingress, AuthzOutcome outcome) => ingress.Services.GetRequiredService<AuthzMetrics>().Of(outcome);
}
