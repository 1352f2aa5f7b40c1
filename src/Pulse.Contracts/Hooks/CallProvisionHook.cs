namespace Pulse.Contracts.Hooks;

/// <summary>Have the platform make what a new tenant needs outside of Pulse, through its provisioning hook. Repeated, the answer is repeated.</summary>
public sealed record CallProvisionHook
{
    /// <summary>The signup, and the correlation id of its provisioning saga.</summary>
    public required Guid SignupId { get; init; }

    /// <summary>The organization that it will be. A signup that is tried anew after its failure gets another.</summary>
    public required Guid OrgId { get; init; }

    /// <summary>What is not done by then is given up.</summary>
    public required DateTimeOffset Deadline { get; init; }
}
