using Pulse.Worker.Lifecycle;

namespace Pulse.Tests.Lifecycle;

/// <summary>Every command on an organization in every place of its life.</summary>
public sealed class LifecycleRulesTests
{
    static readonly DateTimeOffset Now = new(2026, 11, 21, 12, 0, 0, TimeSpan.Zero);

    static readonly Organization Active = new() { OrgId = Guid.CreateVersion7(), IsDefault = false, Status = "active" };
    static readonly Organization Suspended = After(LifecycleRules.Suspend(Active, "unpaid", Now));
    static readonly Organization Deleted = After(LifecycleRules.SoftDelete(Active, 30, Now));
    static readonly Organization DeletedWhileSuspended = After(LifecycleRules.SoftDelete(Suspended, 30, Now));
    static readonly Organization Purging = Deleted with { PurgeStartedAt = Now.AddDays(31) };
    static readonly Organization Held = After(LifecycleRules.Hold(Active, "a court asks", "key:a", Now));
    static readonly Organization Default = Active with { IsDefault = true };

    static Organization From(string place) => place switch
    {
        "active" => Active,
        "suspended" => Suspended,
        "deleted" => Deleted,
        "deleted while suspended" => DeletedWhileSuspended,
        "purging" => Purging,
        "held" => Held,
        _ => Default,
    };

    static Transition Do(string command, Organization org) => command switch
    {
        "suspend" => LifecycleRules.Suspend(org, "unpaid", Now),
        "unsuspend" => LifecycleRules.Unsuspend(org),
        "soft-delete" => LifecycleRules.SoftDelete(org, 30, Now),
        "restore" => LifecycleRules.Restore(org),
        "hold" => LifecycleRules.Hold(org, "a court asks", "key:a", Now),
        _ => LifecycleRules.Release(org),
    };

    static Organization After(Transition transition) => transition.After ?? throw new InvalidOperationException(transition.Refusal!.Code);

    [Theory]
    [InlineData("suspend", "active", "suspended")]
    [InlineData("suspend", "held", "suspended")]
    [InlineData("unsuspend", "suspended", "active")]
    [InlineData("soft-delete", "active", "pending_deletion")]
    [InlineData("soft-delete", "suspended", "pending_deletion")]
    [InlineData("soft-delete", "held", "pending_deletion")]
    [InlineData("restore", "deleted", "active")]
    [InlineData("restore", "deleted while suspended", "suspended")]
    [InlineData("hold", "active", "active")]
    [InlineData("hold", "suspended", "suspended")]
    [InlineData("hold", "deleted", "pending_deletion")]
    [InlineData("hold", "deleted while suspended", "pending_deletion")]
    [InlineData("release", "held", "active")]
    public void A_command_that_is_allowed_leads_to(string command, string from, string status) =>
        Assert.Equal(status, After(Do(command, From(from))).Status);

    [Theory]
    [InlineData("suspend", "suspended", 409, "already_suspended")]
    [InlineData("suspend", "deleted", 409, "pending_deletion")]
    [InlineData("suspend", "deleted while suspended", 409, "pending_deletion")]
    [InlineData("suspend", "purging", 409, "pending_deletion")]
    [InlineData("unsuspend", "active", 409, "not_suspended")]
    [InlineData("unsuspend", "held", 409, "not_suspended")]
    [InlineData("unsuspend", "deleted", 409, "not_suspended")]
    [InlineData("unsuspend", "deleted while suspended", 409, "not_suspended")]
    [InlineData("unsuspend", "purging", 409, "not_suspended")]
    [InlineData("soft-delete", "deleted", 409, "already_pending_deletion")]
    [InlineData("soft-delete", "deleted while suspended", 409, "already_pending_deletion")]
    [InlineData("soft-delete", "purging", 409, "already_pending_deletion")]
    [InlineData("restore", "active", 409, "not_pending_deletion")]
    [InlineData("restore", "suspended", 409, "not_pending_deletion")]
    [InlineData("restore", "held", 409, "not_pending_deletion")]
    [InlineData("restore", "purging", 409, "purge_started")]
    [InlineData("hold", "held", 409, "already_on_legal_hold")]
    [InlineData("hold", "purging", 409, "purge_started")]
    [InlineData("release", "active", 409, "not_on_legal_hold")]
    [InlineData("release", "suspended", 409, "not_on_legal_hold")]
    [InlineData("release", "deleted", 409, "not_on_legal_hold")]
    [InlineData("release", "deleted while suspended", 409, "not_on_legal_hold")]
    [InlineData("release", "purging", 409, "not_on_legal_hold")]
    [InlineData("suspend", "default", 400, "default_org_immutable")]
    [InlineData("unsuspend", "default", 400, "default_org_immutable")]
    [InlineData("soft-delete", "default", 400, "default_org_immutable")]
    [InlineData("restore", "default", 400, "default_org_immutable")]
    [InlineData("hold", "default", 400, "default_org_immutable")]
    [InlineData("release", "default", 400, "default_org_immutable")]
    public void A_command_that_is_not_allowed_is_refused_and_changes_nothing(string command, string from, int status, string code)
    {
        var transition = Do(command, From(from));

        Assert.Null(transition.After);
        Assert.Equal((status, code), (transition.Refusal!.Status, transition.Refusal.Code));
    }

    [Fact]
    public void Restoring_brings_back_exactly_what_was()
    {
        Assert.Equal(Active, After(LifecycleRules.Restore(Deleted)));
        Assert.Equal(Suspended, After(LifecycleRules.Restore(DeletedWhileSuspended)));
        Assert.Equal(Active, After(LifecycleRules.Unsuspend(Suspended)));
        Assert.Equal(Active, After(LifecycleRules.Release(Held)));
    }

    [Theory]
    [InlineData(0)]
    [InlineData(-1)]
    [InlineData(3651)]
    public void A_retention_out_of_bounds_is_refused(int days) =>
        Assert.Equal("invalid_retention_days", LifecycleRules.SoftDelete(Active, days, Now).Refusal!.Code);

    [Fact]
    public void A_purge_may_begin_when_the_retention_is_over_and_not_a_moment_before()
    {
        Assert.False(LifecycleRules.MayPurge(Deleted, Now.AddDays(30).AddTicks(-1)));
        Assert.True(LifecycleRules.MayPurge(Deleted, Now.AddDays(30)));
        Assert.True(LifecycleRules.MayPurge(DeletedWhileSuspended, Now.AddDays(30)));
    }

    [Fact]
    public void Nothing_else_may_be_purged_however_late_it_is()
    {
        var late = Now.AddYears(100);
        Organization[] others =
        [
            Active, Suspended, Held, Default, Purging,
            After(LifecycleRules.Hold(Deleted, "a court asks", "key:a", Now)),
            After(LifecycleRules.Restore(Deleted)),
            Deleted with { IsDefault = true },
            // What no path of ours writes, but somebody's script may: it is no order to purge now.
            Deleted with { RetentionDays = 0, PurgeAfter = Now },
            Deleted with { RetentionDays = null },
            Deleted with { PurgeAfter = null },
            Deleted with { DeletionRequestedAt = null },
        ];

        Assert.All(others, org => Assert.False(LifecycleRules.MayPurge(org, late)));
        // A retention that was shortened behind its back.
        Assert.False(LifecycleRules.MayPurge(Deleted with { PurgeAfter = Now.AddDays(1) }, Now.AddDays(2)));
    }
}
