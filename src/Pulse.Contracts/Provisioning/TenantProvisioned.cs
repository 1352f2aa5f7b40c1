namespace Pulse.Contracts.Provisioning;

/// <summary>A signup became a tenant: organization, owner, membership and trial exist.</summary>
public sealed record TenantProvisioned
{
    /// <summary>The signup that asked for it.</summary>
    public required Guid SignupId { get; init; }

    /// <summary>The new organization.</summary>
    public required Guid OrgId { get; init; }

    /// <summary>When ingress accepted the signup, UTC.</summary>
    public required DateTimeOffset AcceptedAt { get; init; }

    /// <summary>When the tenant's rows were written, UTC.</summary>
    public required DateTimeOffset ProvisionedAt { get; init; }
}
