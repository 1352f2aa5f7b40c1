using System.Collections.Frozen;
using Pulse.Entitlements;

namespace Pulse.Ingress.Authz;

/// <summary>What members may do in their organization, by their role and by where the organization stands. This table is all there is.</summary>
static class EvaluationRules
{
    public const string NotAMember = "not_a_member";
    public const string ActionUnknown = "action_unknown";
    public const string RoleInsufficient = "role_insufficient";
    public const string OperatorsOnly = "operators_only";
    public const string Unavailable = "unavailable";

    const string PaysAnyway = "manage_billing";

    // Each role may what those below it may.
    static readonly FrozenDictionary<string, Role> Least = new Dictionary<string, Role>
    {
        ["read"] = Role.Viewer,
        ["write"] = Role.Editor,
        ["manage_members"] = Role.Admin,
        ["manage_settings"] = Role.Admin,
        [PaysAnyway] = Role.Owner,
        ["manage_owners"] = Role.Owner,
        ["delete_organization"] = Role.Owner,
        // Nobody's in the organization: its suspension and its deletion are undone by the platform's operators, not by who caused them.
        ["unsuspend_organization"] = Role.Operator,
        ["restore_organization"] = Role.Operator,
    }.ToFrozenDictionary(StringComparer.Ordinal);

    /// <summary>Every action that there is.</summary>
    public static IEnumerable<string> Actions => Least.Keys;

    enum Role
    {
        Viewer,
        Editor,
        Admin,
        Owner,
        Operator,
    }

    /// <param name="role">The user's in the organization; null: none, or there is no such organization. No answer tells which.</param>
    /// <param name="action">What the user wants.</param>
    /// <param name="verdict">What the organization may do.</param>
    /// <param name="policy">For when that rests on too little.</param>
    /// <param name="now">By Pulse's clock.</param>
    /// <returns>Why not; null: the user may.</returns>
    public static string? Denial(string? role, string action, in Verdict verdict, UnknownPolicy policy, DateTimeOffset now)
    {
        if (Rank(role) is not { } rank)
            return NotAMember;
        if (!Least.TryGetValue(action, out var least))
            return ActionUnknown;
        if (least == Role.Operator)
            return OperatorsOnly;
        if (rank < least)
            return RoleInsufficient;

        return AuthzRules.Decide(verdict, policy, now) switch
        {
            <= AuthzOutcome.AllowedUnknown => null,
            // Who has to pay must be able to.
            AuthzOutcome.SubscriptionRequired when action == PaysAnyway => null,
            var outcome => AuthzAnswer.Of(outcome).Reason,
        };
    }

    static Role? Rank(string? role) => role switch
    {
        "viewer" => Role.Viewer,
        "editor" => Role.Editor,
        "admin" => Role.Admin,
        "owner" => Role.Owner,
        _ => null,
    };
}
