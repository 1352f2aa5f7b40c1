using System.Globalization;
using Microsoft.Extensions.Primitives;
using Pulse.Entitlements;
using Pulse.Ingress.Http;
using Pulse.Ingress.Keys;

namespace Pulse.Ingress.Authz;

/// <summary>
/// Answers the platform's proxies: may this organization's request pass? From memory, with nothing allocated for a request that may.
/// </summary>
sealed partial class AuthzGate(
    AuthzOptions options, EntitlementReader reader, OrgRateLimit rates, AuthzMetrics metrics, TimeProvider clock, ILogger<AuthzGate> log, OidcTokens? tokens = null)
{
    const string Scheme = "Bearer ";
    const int TokenMost = 8 * 1024;

    static readonly StringValues Fresh = AuthzRules.Text(Freshness.Fresh);
    static readonly StringValues LastKnown = AuthzRules.Text(Freshness.LastKnown);
    static readonly StringValues Assumed = AuthzRules.Text(Freshness.Assumed);

    long _complainedAt = long.MinValue;

    /// <summary>Any method, any path below, and no body: proxies send what they were sent.</summary>
    public Task AnswerAsync(HttpContext context)
    {
        var headers = context.Request.Headers;
        if (!options.Holds(Only(headers[AuthzHeaders.Key])))
        {
            Complain();
            return RefuseAsync(context, AuthzOutcome.ProxyUnknown);
        }

        var named = headers[AuthzHeaders.Org];
        if (options.OrgClaim is not null && Token(headers) is { } token)
            return AnswerAsync(context, token, named);
        if (named is [] or [null or ""])
            return RefuseAsync(context, AuthzOutcome.OrgMissing);

        return Parse(named) is { } orgId ? AnswerAsync(context, orgId) : RefuseAsync(context, AuthzOutcome.OrgUnknown);
    }

    async Task AnswerAsync(HttpContext context, string token, StringValues named)
    {
        string? claim;
        try
        {
            claim = (await tokens!.VerifyAsync(token, options.Audience, context.RequestAborted))?.FindFirst(options.OrgClaim!)?.Value;
        }
        catch (TimeoutException)
        {
            await RefuseAsync(context, AuthzOutcome.TokenUnverified);
            return;
        }

        if (claim is null || OrgAddress.Parse(claim) is not { } orgId)
        {
            await RefuseAsync(context, AuthzOutcome.TokenInvalid);
        }
        else if (named is not ([] or [null or ""]) && Parse(named) != orgId)
        {
            // Whoever wrote the header, the token is of another organization.
            await RefuseAsync(context, AuthzOutcome.OrgMismatch);
        }
        else
        {
            // So that the proxy can tell the service behind it.
            context.Response.Headers[AuthzHeaders.Org] = OrgAddress.Text(orgId);
            await AnswerAsync(context, orgId);
        }
    }

    Task AnswerAsync(HttpContext context, Guid orgId)
    {
        var wanted = context.Request.Headers[AuthzHeaders.Capability];
        var capability = wanted is [{ Length: > 0 } only] ? only : null;
        if (wanted.Count > 1 || capability?.Length > AuthzRules.CapabilityMost)
            capability = Nobodys;

        // Not the request's own token: that costs an allocation, and a read is never waited for for long.
        var verdict = reader.EnforceAsync(orgId, capability, AuthzRules.Bound, CancellationToken.None);
        return verdict.IsCompletedSuccessfully ? AnswerAsync(context, orgId, verdict.Result) : WaitAsync(this, context, orgId, verdict);

        static async Task WaitAsync(AuthzGate gate, HttpContext context, Guid orgId, ValueTask<Verdict> verdict) =>
            await gate.AnswerAsync(context, orgId, await verdict);
    }

    // Two capabilities are none that anybody has, and so is one that is too long.
    const string Nobodys = "\0";

    Task AnswerAsync(HttpContext context, Guid orgId, in Verdict verdict)
    {
        var now = clock.GetUtcNow();
        var outcome = AuthzRules.Decide(verdict, options.Unknown, now);
        context.Response.Headers[AuthzHeaders.Freshness] = verdict.Freshness switch
        {
            Freshness.Fresh => Fresh,
            Freshness.LastKnown => LastKnown,
            _ => Assumed,
        };
        if (outcome > AuthzOutcome.AllowedUnknown)
            return RefuseAsync(context, outcome);

        // Who was never read may be made up: it is not counted, or memory would be filled by guesses.
        if (outcome != AuthzOutcome.AllowedUnknown && orgId != OrgAddress.DefaultId && !rates.TryTake(orgId, now.UtcTicks, out var wait))
            return RefuseAsync(context, AuthzOutcome.RateLimited, wait);

        metrics.Add(outcome);
        context.Response.StatusCode = StatusCodes.Status204NoContent;
        return Task.CompletedTask;
    }

    Task RefuseAsync(HttpContext context, AuthzOutcome outcome, TimeSpan wait = default)
    {
        metrics.Add(outcome);
        var answer = AuthzAnswer.Of(outcome);
        var status = answer.Status;
        // What nginx doesn't know it makes a 500 of; deploy/nginx makes what it should be of the reason.
        if (status is not (StatusCodes.Status401Unauthorized or StatusCodes.Status403Forbidden) && Only(context.Request.Headers[AuthzHeaders.Proxy]) == "nginx")
            status = StatusCodes.Status403Forbidden;

        var headers = context.Response.Headers;
        headers[AuthzHeaders.Reason] = answer.Reason;
        if (status == StatusCodes.Status401Unauthorized)
            headers.WWWAuthenticate = "Bearer realm=\"pulse\"";
        if (outcome == AuthzOutcome.RateLimited)
        {
            var seconds = Seconds(wait);
            headers["RateLimit-Policy"] = string.Create(CultureInfo.InvariantCulture, $"\"org\";q={rates.PerMinute};w=60");
            headers["RateLimit"] = string.Create(CultureInfo.InvariantCulture, $"\"org\";r=0;t={seconds}");
        }

        return new Problem(status, answer.Reason, Title(answer), answer.Detail)
        {
            RetryAfter = outcome switch
            {
                AuthzOutcome.RateLimited => TimeSpan.FromSeconds(Seconds(wait)),
                AuthzOutcome.Unavailable or AuthzOutcome.FailedClosed or AuthzOutcome.TokenUnverified => TimeSpan.FromSeconds(5),
                _ => null,
            },
        }.WriteAsync(context);
    }

    static long Seconds(TimeSpan wait) => Math.Max(1, (long)Math.Ceiling(wait.TotalSeconds));

    static string Title(in AuthzAnswer answer) => answer.Result switch
    {
        "unauthenticated" => "No organization",
        "limited" => "Too many requests",
        "failed" => "Not available at the moment",
        _ => "Not allowed",
    };

    static Guid? Parse(StringValues named) => Only(named) is { } text ? OrgAddress.Parse(text) : null;

    static string? Only(StringValues values) => values is [{ } only] ? only : null;

    // Null: the request has none. Empty: several, or one that is too long, and so none that is good.
    static string? Token(IHeaderDictionary headers) => headers.Authorization switch
    {
        [] => null,
        [{ } only] when !only.StartsWith(Scheme, StringComparison.OrdinalIgnoreCase) => null,
        [{ Length: <= TokenMost } only] => only[Scheme.Length..].Trim(),
        _ => "",
    };

    // Once a minute: who is not a proxy must not fill the log.
    void Complain()
    {
        var now = clock.GetTimestamp();
        var last = Interlocked.Read(ref _complainedAt);
        if ((last == long.MinValue || clock.GetElapsedTime(last, now) > TimeSpan.FromMinutes(1)) && Interlocked.CompareExchange(ref _complainedAt, now, last) == last)
            ProxyUnknown(log);
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "/authz was asked without a key of PULSE_AUTHZ_KEY: a proxy that is set up wrong, or somebody who is none")]
    static partial void ProxyUnknown(ILogger logger);
}
