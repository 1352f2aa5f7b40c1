using System.ComponentModel;
using System.ComponentModel.DataAnnotations;

namespace Pulse.Ingress.Signups;

/// <summary>The body as it came. A class, not a record: nothing prints its password by printing it.</summary>
/// <remarks>The attributes describe it in the API document; <see cref="SignupRules"/> is what checks it.</remarks>
sealed class SignupRequest
{
    [Required, MaxLength(SignupRules.EmailMost)]
    [Description("One @ and a dotted domain. Trimmed, and compared case-insensitively.")]
    public string? Email { get; init; }

    [MinLength(SignupRules.PasswordLeast), MaxLength(SignupRules.PasswordMost)]
    [Description("May be left out: the owner sets one later, from the verification mail.")]
    public string? Password { get; init; }

    [Required, MinLength(SignupRules.OrgNameLeast), MaxLength(SignupRules.OrgNameMost)]
    [Description("Trimmed. No slash, backslash or control character, and not only dots.")]
    public string? OrgName { get; init; }
}
