using Pulse.Contracts.Billing;
using Pulse.Ingress.Console;

namespace Pulse.Ingress.Billing;

/// <summary>What an organization has and why, on its page in the console.</summary>
static class BillingPanel
{
    public static async Task<Html> RenderAsync(ConsoleRequest request, Guid orgId)
    {
        if (await BillingStateTable.FactsAsync(request.Database, orgId, request.Now.UtcDateTime, request.Aborted) is not { } facts)
            return Html.Nothing;
        if (facts.Entitlements.Unlimited)
            return Html.Of($"""<p class="muted">The platform's own organization has no billing and no limits.</p>""");

        var explanation = Explanation.Of(facts, request.Now);
        var state = explanation.State;
        return Html.Of($"""
            {OverridePages.Done(request)}
            {Element.Fields(
                ("State", Element.Badge(state.SubscriptionState)), ("Plan", Element.Code(state.PlanVersion)), ("Decided by", Html.Of($"{Source(state.Source)}")),
                ("Trial ends", When(request, state.TrialEndsAt)), ("Grace until", When(request, state.GraceUntil)),
                ("May", Html.Of($"{(state.Capabilities.Count == 0 ? "nothing" : string.Join(", ", state.Capabilities))}")),
                ("Limits", Html.Of($"{string.Join(", ", state.Limits.Select(limit => $"{limit.Key} {Element.Number(limit.Value)}"))}")),
                ("Meters", Html.Of($"{string.Join(", ", state.MetersEnabled)}")),
                ("Next", explanation.NextBoundary is { } next ? Html.Of($"{Element.Badge(next.SubscriptionState)} {Element.Time(next.At, request.Now)}") : Html.Nothing),
                ("As of", Element.Time(explanation.Freshness.AsOf, request.Now)), ("Version", Html.Of($"{state.Version}")))}
            {Customers(request, explanation)}
            {Overrides(request, explanation)}
            {OverridePages.Buttons(request, orgId, explanation.Overrides.Any(one => one.InForce))}
            """);
    }

    static Html Customers(ConsoleRequest request, BillingExplanation explanation) => explanation.Customers.Count == 0 ? Html.Nothing : Html.Of($"""
        <h3>At Stripe</h3>
        {Element.Table("Customers at Stripe", ["Customer", "In step", "Fetched", "What is wrong"], explanation.Customers.Select(customer => Html.Of($"""
            <tr><th scope="row"><code>{customer.CustomerId}</code></th><td>{Element.Badge(customer.InStep ? "in step" : "behind", customer.InStep ? "good" : "warn")}</td>
            <td>{Element.Time(customer.FetchedAt, request.Now)}</td><td>{(customer.Problem is null ? Html.Of($"""<span class="muted">–</span>""") : Element.Code(customer.Problem))}</td></tr>

            """)))}
        """);

    static Html Overrides(ConsoleRequest request, BillingExplanation explanation) => explanation.Overrides.Count == 0 ? Html.Nothing : Html.Of($"""
        <h3>Overrides</h3>
        {Element.Table("Overrides", ["Effect", "In force", "Sets", "By", "Reason", "Made", "Ends"], explanation.Overrides.Select(one => Html.Of($"""
            <tr><th scope="row">{one.Effect}</th><td>{(one.Won ? Element.Badge("decides", "good") : one.InForce ? Element.Badge("in force", "idle") : Element.Badge("over", "idle"))}</td>
            <td class="wide"><code>{one.State.GetRawText()}</code></td><td><code>{one.Actor}</code></td><td class="wide">{Element.Text(one.Reason)}</td>
            <td>{Element.Time(one.CreatedAt, request.Now)}</td><td>{Element.Time(one.RevokedAt ?? one.ExpiresAt, request.Now)}</td></tr>

            """)))}
        """);

    static string Source(string source) => source switch
    {
        "lifecycle" => "its lifecycle: it is not active",
        "override" => "an operator's override",
        "stripe" => "Stripe",
        "local_trial" => "the trial that every signup has",
        _ => source,
    };

    static Html When(ConsoleRequest request, DateTimeOffset? at) => at is { } time ? Element.Time(time.UtcDateTime, request.Now) : Html.Nothing;
}
