using Pulse.Entitlements;
using Pulse.Ingress.Authz;

namespace Pulse.Tests.Authz;

public sealed class EvaluationRulesTests
{
    static readonly DateTimeOffset Now = DateTimeOffset.UnixEpoch.AddYears(60);
    static readonly Verdict Allowed = new(true, Freshness.Fresh, null, Now);

    [Fact]
    public void Who_may_what_is_this_table()
    {
        string[] roles = ["viewer", "editor", "admin", "owner"];
        var table = EvaluationRules.Actions.ToDictionary(action => action, action =>
            string.Join(' ', roles.Where(role => EvaluationRules.Denial(role, action, Allowed, UnknownPolicy.LastKnown, Now) is null)));

        Assert.Equal(new SortedDictionary<string, string>
        {
            ["read"] = "viewer editor admin owner",
            ["write"] = "editor admin owner",
            ["manage_members"] = "admin owner",
            ["manage_settings"] = "admin owner",
            ["manage_billing"] = "owner",
            ["manage_owners"] = "owner",
            ["delete_organization"] = "owner",
            ["unsuspend_organization"] = "",
            ["restore_organization"] = "",
        }, new SortedDictionary<string, string>(table));
    }

    [Theory]
    [InlineData(DenialReason.OrgSuspended)]
    [InlineData(DenialReason.OrgPendingDeletion)]
    [InlineData(DenialReason.SubscriptionRequired)]
    [InlineData(DenialReason.CapabilityMissing)]
    [InlineData(DenialReason.OrgInactive)]
    public void Where_the_organization_may_not_nobody_in_it_may_but_pay(string reason)
    {
        foreach (var action in EvaluationRules.Actions.Except(["unsuspend_organization", "restore_organization"]))
        {
            var denied = EvaluationRules.Denial("owner", action, new Verdict(false, Freshness.Fresh, reason, Now), UnknownPolicy.LastKnown, Now);
            Assert.Equal(reason == DenialReason.SubscriptionRequired && action == "manage_billing" ? null : reason, denied);
        }
    }

    [Fact]
    public void Who_is_no_member_hears_nothing_else_whatever_the_rest()
    {
        foreach (var action in EvaluationRules.Actions.Append("fly"))
        {
            foreach (var verdict in new[] { Allowed, new Verdict(false, Freshness.Fresh, DenialReason.OrgSuspended, Now), new Verdict(false, Freshness.Fresh, DenialReason.OrgNotFound, Now) })
                Assert.Equal("not_a_member", EvaluationRules.Denial(null, action, verdict, UnknownPolicy.Open, Now));
        }

        Assert.Equal("action_unknown", EvaluationRules.Denial("owner", "fly", Allowed, UnknownPolicy.Open, Now));
        // A role that this build doesn't know is none.
        Assert.Equal("not_a_member", EvaluationRules.Denial("emperor", "read", Allowed, UnknownPolicy.Open, Now));
    }
}
