namespace Pulse.Ingress.Signups;

/// <summary>How far a signup is.</summary>
/// <param name="SignupId">The signup.</param>
/// <param name="Status">accepted, awaiting_verification, provisioning, provisioned, existing or failed.</param>
/// <param name="OrgId">The organization, once there is one.</param>
sealed record SignupStatus(Guid SignupId, string Status, Guid? OrgId = null);
