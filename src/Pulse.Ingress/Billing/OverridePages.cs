using System.Text.Json;
using System.Text.Json.Nodes;
using Pulse.Contracts.Billing;
using Pulse.Contracts.Keys;
using Pulse.Ingress.Console;
using Pulse.Ingress.Http;
using Pulse.Ingress.Operations;

namespace Pulse.Ingress.Billing;

/// <summary>An operator's say in what an organization has, and its end: each after a page that says what it does. The rules are those of the API.</summary>
static class OverridePages
{
    const string Set = "billing-override";
    const string Revoke = "revoke-billing-override";

    static readonly (string, string)[] Effects = [("grant", "grant: adds to what it has"), ("pin", "pin: sets what is filled in"), ("deny", "deny: takes everything away")];

    // What is typed into each field of the form.
    static readonly string[] Texts = ["effect", "subscription_state", "plan_version", "expires_at", "reason"];

    public static void Map(IEndpointRouteBuilder routes)
    {
        const string path = ConsolePath.Root + "/organizations/{org_id}/";
        routes.MapPage(path + Set, Scopes.BillingWrite, request => AskAsync(request, null, null));
        routes.MapAction(path + Set, Scopes.BillingWrite, SetAsync);
        routes.MapPage(path + Revoke, Scopes.BillingWrite, ConfirmAsync);
        routes.MapAction(path + Revoke, Scopes.BillingWrite, RevokeAsync);
    }

    /// <summary>On the organization's page, to who may.</summary>
    public static Html Buttons(ConsoleRequest request, Guid orgId, bool anyInForce) => !request.May(Scopes.BillingWrite) ? Html.Nothing : Html.Of($"""
        <div class="buttons below" role="group" aria-label="What can be done about its billing">
        <a class="button" href="{Organization(orgId)}/{Set}">Override…</a>
        {(anyInForce ? Html.Of($"""<a class="button" href="{Organization(orgId)}/{Revoke}">Take overrides back…</a>""") : Html.Nothing)}
        </div>
        """);

    /// <summary>What is said when one of them is done.</summary>
    public static Html Done(ConsoleRequest request) => request.Query("billing") switch
    {
        "set" => Element.Notice("good", Html.Of($"The override is in force.")),
        "revoked" => Element.Notice("good", Html.Of($"The overrides are taken back.")),
        _ => Html.Nothing,
    };

    static string Organization(Guid orgId) => $"{ConsolePath.Root}/organizations/{OrgAddress.Text(orgId)}";

    static async Task<(EntitlementRow Row, string Name)?> FindAsync(ConsoleRequest request) =>
        OrgAddress.Parse(request.Route("org_id")) is { } id && id != OrgAddress.DefaultId
        && await BillingStateTable.FindAsync(request.Database, id, request.Aborted) is { } row && await BillingStateTable.NameAsync(request.Database, id, request.Aborted) is { } name
            ? (row, name)
            : null;

    static async Task<IResult> AskAsync(ConsoleRequest request, ConsoleForm? form, string? mistake)
    {
        if (await FindAsync(request) is not var (row, name))
            return Errors.NotFound(request);

        return Page(request, row, name, $"Override the billing of {name}", mistake, Html.Of($"""
            <p>You are about to say what <strong><bdi>{name}</bdi></strong> (<code>{row.OrgId}</code>) has, over its trial and what Stripe says. What is left empty stays as it is without the override.</p>
            {Element.Form(request, $"{Organization(row.OrgId)}/{Set}", Html.Of($"""
                {Version(row)}
                {Element.Select("effect", "Effect", "choose one", Effects, form?["effect"])}
                {Element.Select("subscription_state", "State", "as it is", BillingStateRules.States.Select(state => (state, state)), form?["subscription_state"])}
                {Element.Input("plan_version", "Plan", form?["plan_version"], BillingStateRules.NameMost, "As the plans file calls it.")}
                {Element.Input("capabilities", "Capabilities", form?["capabilities"], 1000, "Names with spaces between them: api export")}
                {Element.Input("limits", "Limits", form?["limits"], 1000, "Names and numbers: seats=5 projects=20")}
                {Element.Input("expires_at", "Ends by itself (UTC)", form?["expires_at"], 40, "Such as 2030-01-31T12:00:00Z. Empty: not before it is taken back.")}
                {Element.Input("reason", "Reason", form?["reason"], BillingStateRules.ReasonMost, "For the audit log. No personal data.", required: true)}
                """), "Override", Organization(row.OrgId), dangerous: true)}
            """));
    }

    static async Task<IResult> SetAsync(ConsoleRequest request, ConsoleForm form)
    {
        if (await FindAsync(request) is not var (row, _))
            return Errors.NotFound(request);
        if (Body(form, out var mistake) is not { } body)
            return await AskAsync(request, form, mistake);
        if (BillingStateRules.Parse(body, request.Now, out var errors) is not { } said)
            return await AskAsync(request, form, string.Join(' ', errors.Values.SelectMany(messages => messages)));
        if (said.State is { PlanVersion: { } plan, Capabilities: null } && !await BillingStateTable.IsPlanAsync(request.Database, plan, request.Aborted))
            return await AskAsync(request, form, string.Join(' ', BillingStateRules.UnknownPlan(plan).Values.SelectMany(messages => messages)));

        var outcome = await request.Service<OperationIntake>().SubmitAsync(
            BillingEndpoints.Set, row.OrgId, JsonSerializer.Serialize(said with { IfMatch = Seen(form) }, BillingJson.Default.BillingStateRequest),
            operation => new SetBillingState { OperationId = operation, OrgId = row.OrgId }, request.Caller, form.OperationId(request), request.Aborted);
        return outcome.Answer(request, Organization(row.OrgId), _ => new SeeOther($"{Organization(row.OrgId)}?billing=set"));
    }

    static async Task<IResult> ConfirmAsync(ConsoleRequest request) => await FindAsync(request) is var (row, name)
        ? Page(request, row, name, $"Take back the overrides of {name}", null, Html.Of($"""
            <p>You are about to end every override of <strong><bdi>{name}</bdi></strong> (<code>{row.OrgId}</code>) that is in force. It then has what its trial or Stripe gives it.</p>
            {Element.Form(request, $"{Organization(row.OrgId)}/{Revoke}", Version(row), "Take them back", Organization(row.OrgId), dangerous: true)}
            """))
        : Errors.NotFound(request);

    static async Task<IResult> RevokeAsync(ConsoleRequest request, ConsoleForm form)
    {
        if (await FindAsync(request) is not var (row, _))
            return Errors.NotFound(request);

        var outcome = await request.Service<OperationIntake>().SubmitAsync(
            BillingEndpoints.Revoke, row.OrgId, JsonSerializer.Serialize(new BillingOverrideRevocation { IfMatch = Seen(form) }, BillingJson.Default.BillingOverrideRevocation),
            operation => new RevokeBillingOverride { OperationId = operation, OrgId = row.OrgId }, request.Caller, form.OperationId(request), request.Aborted);
        return outcome.Answer(request, Organization(row.OrgId), _ => new SeeOther($"{Organization(row.OrgId)}?billing=revoked"));
    }

    // What has changed since the page was shown is looked at again first.
    static Html Version(EntitlementRow row) => Html.Of($"""<input type="hidden" name="version" value="{row.Version}">""");

    static long? Seen(ConsoleForm form) =>
        long.TryParse(form["version"], System.Globalization.NumberStyles.None, System.Globalization.CultureInfo.InvariantCulture, out var version) ? version : null;

    /// <summary>The body that the API would be sent.</summary>
    static JsonElement? Body(ConsoleForm form, out string mistake)
    {
        mistake = "";
        if (form["effect"] is null || form["reason"] is null)
        {
            mistake = form["effect"] is null ? "Choose an effect." : "A reason is needed, for the audit log.";
            return null;
        }

        var body = new JsonObject();
        foreach (var name in Texts)
        {
            if (form[name] is { } text)
                body[name] = text;
        }

        if (form["capabilities"] is { } capabilities)
            body["capabilities"] = new JsonArray([.. Words(capabilities).Select(word => JsonValue.Create(word))]);
        if (form["limits"] is { } limits)
        {
            var numbers = new JsonObject();
            foreach (var limit in Words(limits))
            {
                if (limit.Split('=') is not [{ Length: > 0 } name, var text] || numbers.ContainsKey(name)
                    || !long.TryParse(text, System.Globalization.NumberStyles.None, System.Globalization.CultureInfo.InvariantCulture, out var number))
                {
                    mistake = "Limits are names and whole numbers, each name once: seats=5 projects=20.";
                    return null;
                }

                numbers[name] = number;
            }

            body["limits"] = numbers;
        }

        return JsonSerializer.SerializeToElement(body, BillingJson.Default.JsonObject);
    }

    static string[] Words(string text) => text.Split((char[])[' ', ',', '\t'], StringSplitOptions.RemoveEmptyEntries);

    static ConsolePage Page(ConsoleRequest request, EntitlementRow row, string name, string title, string? mistake, Html what) => new(request, title, Html.Of($"""
        {(mistake is null ? Html.Nothing : Html.Of($"""<div class="notice bad" role="alert"><p>{mistake}</p></div>"""))}
        <section aria-label="Confirmation">
        {what}
        </section>
        """))
    {
        Above = [("Organizations", $"{ConsolePath.Root}/organizations"), (name, Organization(row.OrgId))],
        Status = mistake is null ? StatusCodes.Status200OK : StatusCodes.Status400BadRequest,
    };
}
