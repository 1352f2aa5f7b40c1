namespace Pulse.Contracts.Keys;

/// <summary>What a key may be good for. A closed set: a key with any other scope can't be made.</summary>
public static class Scopes
{
    /// <summary>Reading organizations.</summary>
    public const string OrgsRead = "orgs:read";

    /// <summary>Suspending, restoring, deleting organizations.</summary>
    public const string OrgsWrite = "orgs:write";

    /// <summary>Reading billing states, and why they are so.</summary>
    public const string BillingRead = "billing:read";

    /// <summary>Overriding billing states.</summary>
    public const string BillingWrite = "billing:write";

    /// <summary>Asking what an organization may do: what the platform's own services need.</summary>
    public const string EntitlementsRead = "entitlements:read";

    /// <summary>Reading who changed what.</summary>
    public const string AuditRead = "audit:read";

    /// <summary>Seeing what was dead-lettered.</summary>
    public const string DeadLettersRead = "deadletters:read";

    /// <summary>Replaying and discarding dead letters.</summary>
    public const string DeadLettersWrite = "deadletters:write";

    /// <summary>Seeing the bodies of dead letters.</summary>
    public const string DeadLettersReveal = "deadletters:reveal";

    /// <summary>Making and revoking keys.</summary>
    public const string KeysWrite = "keys:write";

    /// <summary>All there are.</summary>
    public static IReadOnlyList<string> All { get; } =
    [
        OrgsRead, OrgsWrite, BillingRead, BillingWrite, EntitlementsRead, AuditRead, DeadLettersRead, DeadLettersWrite, DeadLettersReveal, KeysWrite,
    ];
}
