using System.Collections.Frozen;

namespace Pulse.Ingress.Keys;

/// <summary>Who asks, once that is proven.</summary>
/// <param name="Actor"><c>key:&lt;id&gt;</c> or <c>oidc:&lt;subject&gt;</c>: what the audit log calls them.</param>
/// <param name="Scopes">What they may.</param>
sealed record Caller(string Actor, FrozenSet<string> Scopes)
{
    /// <summary>Who sent this request. Only behind <see cref="KeyGate"/>.</summary>
    public static Caller Of(HttpContext context) =>
        context.Features.Get<Caller>() ?? throw new InvalidOperationException("The endpoint is not behind the gate.");
}
