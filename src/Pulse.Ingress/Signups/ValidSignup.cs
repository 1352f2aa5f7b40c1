namespace Pulse.Ingress.Signups;

/// <summary>What <see cref="SignupRules"/> let through. Not a record: nothing prints its password by printing it.</summary>
sealed class ValidSignup
{
    /// <summary>As it was written, trimmed: what mail is sent to.</summary>
    public required string Email { get; init; }

    /// <summary>What it is compared by.</summary>
    public required string EmailNormalized { get; init; }

    public required string OrgName { get; init; }

    public required string? Password { get; init; }
}
