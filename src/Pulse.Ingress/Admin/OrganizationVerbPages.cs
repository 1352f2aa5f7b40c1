using Pulse.Contracts.Keys;
using Pulse.Ingress.Console;
using Pulse.Ingress.Http;
using Pulse.Ingress.Operations;

namespace Pulse.Ingress.Admin;

/// <summary>A confirmation for each verb, and what became of it.</summary>
static class OrganizationVerbPages
{
    /// <param name="Button">What the confirmation's button says.</param>
    /// <param name="What">What it does, in a sentence.</param>
    /// <param name="Done">What is said afterwards.</param>
    sealed record Face(OrganizationVerb Verb, string Button, string What, string Done, bool Dangerous, Func<Organization, bool> Fits);

    static readonly Face[] Faces =
    [
        new(OrganizationVerb.Suspend, "Suspend", "It may do nothing from then on, whatever it has paid, until it is unsuspended. Its billing goes on.", "It is suspended.", true, org => org.Status == "active"),
        new(OrganizationVerb.Unsuspend, "Unsuspend", "It may again do what its billing allows.", "The suspension is lifted.", false, org => org.Status == "suspended"),
        new(OrganizationVerb.SoftDelete, "Delete", "It may do nothing from then on. It can be restored until its retention is over; after that its data is purged.", "It is deleted, and can be restored until its retention is over.", true, org => org.Status is "active" or "suspended"),
        new(OrganizationVerb.Restore, "Restore", "It gets the status back that it had before it was deleted.", "It is restored.", false, org => org.Status == "pending_deletion"),
        new(OrganizationVerb.Hold, "Place a legal hold", "Nothing purges it, whatever its status, until the hold is released.", "It is under legal hold.", false, org => org.LegalHoldAt is null),
        new(OrganizationVerb.Release, "Release the legal hold", "It can be purged again, once it is deleted and its retention is over.", "The legal hold is released.", true, org => org.LegalHoldAt is not null),
    ];

    public static void Map(IEndpointRouteBuilder routes)
    {
        foreach (var face in Faces)
        {
            routes.MapPage($"{OrganizationPages.Path}/{{org_id}}/{face.Verb.Name}", Scopes.OrgsWrite, request => ConfirmAsync(request, face, null));
            routes.MapAction($"{OrganizationPages.Path}/{{org_id}}/{face.Verb.Name}", Scopes.OrgsWrite, (request, form) => DoAsync(request, form, face));
        }
    }

    public static string? Done(string verb) => Array.Find(Faces, face => face.Verb.Name == verb)?.Done;

    /// <summary>Those that its status allows, to who may.</summary>
    public static Html Buttons(ConsoleRequest request, Guid id, Organization organization) => !request.May(Scopes.OrgsWrite) || id == OrgAddress.DefaultId
        ? Html.Nothing
        : Html.Of($"""
            <div class="buttons" role="group" aria-label="What can be done">
            {Html.All(Faces.Where(face => face.Fits(organization)).Select(face => Html.Of($"""<a class="button" href="{OrganizationPages.Of(organization.OrgId)}/{face.Verb.Name}">{face.Button}…</a>""")))}
            </div>
            """);

    static async Task<IResult> ConfirmAsync(ConsoleRequest request, Face face, Problem? mistake)
    {
        if (await OrganizationPages.FindAsync(request) is not ({ } id, { } organization))
            return Errors.NotFound(request);
        if (id == OrgAddress.DefaultId)
            return Errors.Refused(request, OrganizationVerb.OwnIsImmutable(), OrganizationPages.Of(organization.OrgId));

        return new ConsolePage(request, $"{face.Button}: {organization.Name}", Html.Of($"""
            {(mistake is null ? Html.Nothing : Html.Of($"""<div class="notice bad" role="alert"><p>{mistake.Detail}</p></div>"""))}
            {(face.Fits(organization) ? Html.Nothing : Element.Notice("warn", Html.Of($"As it stands now this will be refused.")))}
            <section aria-label="Confirmation">
            <p>You are about to do this to <strong><bdi>{organization.Name}</bdi></strong> (<code>{organization.OrgId}</code>, now {organization.Status.Replace('_', ' ')}).</p>
            <p>{face.What}</p>
            {Element.Form(request, $"{OrganizationPages.Of(organization.OrgId)}/{face.Verb.Name}", Said(face.Verb), face.Button, OrganizationPages.Of(organization.OrgId), face.Dangerous)}
            </section>
            """))
        {
            Above = [("Organizations", OrganizationPages.Path), (organization.Name, OrganizationPages.Of(organization.OrgId))],
            Status = mistake?.Status ?? StatusCodes.Status200OK,
        };
    }

    static Html Said(OrganizationVerb verb) =>
        verb == OrganizationVerb.Suspend ? Element.Input("reason", "Reason (may be left out)", null, LifecycleRules.ReasonMost, "For the audit log. No personal data.")
        : verb == OrganizationVerb.Hold ? Element.Input("reason", "Reason", null, LifecycleRules.ReasonMost, "For the audit log. No personal data.", required: true)
        : verb == OrganizationVerb.SoftDelete ? Element.NumberInput(
            "retention_days", "Days until it is purged", LifecycleRules.RetentionDaysDefault.ToString(System.Globalization.CultureInfo.InvariantCulture),
            LifecycleRules.RetentionDaysLeast.ToString(System.Globalization.CultureInfo.InvariantCulture), LifecycleRules.RetentionDaysMost.ToString(System.Globalization.CultureInfo.InvariantCulture), "1")
        : Html.Nothing;

    static async Task<IResult> DoAsync(ConsoleRequest request, ConsoleForm form, Face face)
    {
        if (await OrganizationPages.FindAsync(request) is not ({ } id, { } organization))
            return Errors.NotFound(request);
        if (id == OrgAddress.DefaultId)
            return Errors.Refused(request, OrganizationVerb.OwnIsImmutable(), OrganizationPages.Of(organization.OrgId));
        if (face.Verb.Parse(form.Body(("reason", false), ("retention_days", true)), out var invalid) is not { } said)
            return await ConfirmAsync(request, face, invalid);

        var outcome = await face.Verb.Submit(request.Service<OperationIntake>(), id, said, request.Now, request.Caller, form.OperationId(request), request.Aborted);
        var back = OrganizationPages.Of(organization.OrgId);
        return outcome.Answer(request, back, _ => new SeeOther($"{back}?done={face.Verb.Name}"));
    }
}
