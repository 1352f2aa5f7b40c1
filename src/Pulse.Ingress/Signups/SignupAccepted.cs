namespace Pulse.Ingress.Signups;

/// <summary>The 202: the same for every email.</summary>
sealed record SignupAccepted(Guid SignupId, string Status, string StatusUrl)
{
    public static SignupAccepted Of(Guid signupId) => new(signupId, "accepted", $"{SignupEndpoints.Path}/{signupId}");
}
