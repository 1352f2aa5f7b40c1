using System.Text.Json;
using Pulse.Contracts.Keys;
using Pulse.Contracts.Lifecycle;
using Pulse.Ingress.Http;
using Pulse.Ingress.Keys;
using Pulse.Ingress.Operations;

namespace Pulse.Ingress.Admin;

/// <summary>An operator's verb on an organization, as the API and the console do it: a command to the worker, which decides under the organization's lock.</summary>
/// <param name="Name">As it stands in addresses.</param>
/// <param name="Parse">Reads what is said with it.</param>
/// <param name="Submit">Brings it to the worker.</param>
sealed record OrganizationVerb(string Name, OperationKind Kind, LifecycleRules.Parse Parse, OrganizationVerb.Submission Submit)
{
    public delegate Task<OperationOutcome> Submission(
        OperationIntake intake, Guid orgId, LifecycleRequest request, DateTimeOffset acceptedAt, Caller caller, Guid? keyedId, CancellationToken cancellationToken);

    public static readonly OrganizationVerb Suspend = Of("suspend", "lifecycle.suspend", LifecycleRules.Suspend,
        (operation, org, at) => new SuspendOrganization { OperationId = operation, OrgId = org, AcceptedAt = at });

    public static readonly OrganizationVerb Unsuspend = Of("unsuspend", "lifecycle.unsuspend", LifecycleRules.Nothing,
        (operation, org, at) => new UnsuspendOrganization { OperationId = operation, OrgId = org, AcceptedAt = at });

    public static readonly OrganizationVerb SoftDelete = Of("soft-delete", "lifecycle.soft_delete", LifecycleRules.SoftDelete,
        (operation, org, at) => new SoftDeleteOrganization { OperationId = operation, OrgId = org, AcceptedAt = at });

    public static readonly OrganizationVerb Restore = Of("restore", "lifecycle.restore", LifecycleRules.Nothing,
        (operation, org, at) => new RestoreOrganization { OperationId = operation, OrgId = org, AcceptedAt = at });

    public static readonly OrganizationVerb Hold = Of("legal-hold", "lifecycle.hold", LifecycleRules.Hold,
        (operation, org, at) => new PlaceLegalHold { OperationId = operation, OrgId = org, AcceptedAt = at });

    public static readonly OrganizationVerb Release = Of("release-legal-hold", "lifecycle.release", LifecycleRules.Nothing,
        (operation, org, at) => new ReleaseLegalHold { OperationId = operation, OrgId = org, AcceptedAt = at });

    public static IReadOnlyList<OrganizationVerb> All { get; } = [Suspend, Unsuspend, SoftDelete, Restore, Hold, Release];

    /// <summary>The refusal of every verb on the platform's own organization.</summary>
    public static Problem OwnIsImmutable() => new(StatusCodes.Status400BadRequest, "default_org_immutable", "The platform's own organization stays as it is",
        "It can be neither suspended nor deleted.");

    static OrganizationVerb Of<T>(string name, string kind, LifecycleRules.Parse parse, Func<Guid, Guid, DateTimeOffset, T> command)
        where T : class
    {
        var operation = new OperationKind(kind, Scopes.OrgsWrite);
        return new OrganizationVerb(name, operation, parse, (intake, org, request, at, caller, keyedId, cancellationToken) => intake.SubmitAsync(
            operation, org, JsonSerializer.Serialize(request, AdminJson.Default.LifecycleRequest), id => command(id, org, at), caller, keyedId, cancellationToken));
    }
}
