using FsCheck;
using FsCheck.Fluent;
using Pulse.Worker.Hooks;

namespace Pulse.Tests.Hooks;

public sealed class HookRulesTests
{
    static readonly DateTimeOffset Now = new(2026, 11, 21, 12, 0, 0, TimeSpan.Zero);

    static readonly HookOptions Options = OptionsWith(new Uri("https://pulse.example.org"));
    static readonly HookOptions WithoutCallback = OptionsWith(null);

    static HookOptions OptionsWith(Uri? publicUrl) => new()
    {
        Url = new Uri("https://platform.example.org"),
        Secrets = [new byte[24]],
        AllowPrivate = false,
        PublicUrl = publicUrl,
        Timeout = TimeSpan.FromSeconds(10),
        Attempts = 8,
        Deadline = TimeSpan.FromMinutes(15),
    };

    static HookCall Call(string type, int attempts = 1, int unknown = 1) => new()
    {
        CallId = Guid.CreateVersion7(Now),
        Type = type,
        OrgId = Guid.CreateVersion7(Now),
        SignupId = Guid.CreateVersion7(Now),
        Status = "pending",
        Fence = 1,
        Attempts = attempts,
        Unknown = unknown,
        NextAt = Now,
        Deadline = type == HookCall.Provision ? Now + Options.Deadline : null,
        Seed = [],
        CreatedAt = Now,
    };

    [Theory]
    [InlineData("provision", HookResult.Done, HookStep.Succeed, false)]
    [InlineData("provision", HookResult.Accepted, HookStep.Await, false)]
    // Read and not done, at the first try: there is nothing to take back.
    [InlineData("provision", HookResult.Refused, HookStep.Fail, false)]
    [InlineData("provision", HookResult.Gone, HookStep.Fail, false)]
    [InlineData("provision", HookResult.Busy, HookStep.Retry, false)]
    [InlineData("provision", HookResult.Unavailable, HookStep.Retry, false)]
    [InlineData("provision", HookResult.TimedOut, HookStep.Retry, false)]
    [InlineData("provision", HookResult.Broken, HookStep.Retry, false)]
    [InlineData("provision", HookResult.Unreachable, HookStep.Retry, false)]
    [InlineData("provision", HookResult.Blocked, HookStep.Retry, false)]
    [InlineData("deprovision", HookResult.Done, HookStep.Succeed, false)]
    [InlineData("deprovision", HookResult.Accepted, HookStep.Await, false)]
    [InlineData("deprovision", HookResult.Gone, HookStep.Succeed, false)]
    [InlineData("deprovision", HookResult.Refused, HookStep.Retry, false)]
    [InlineData("deprovision", HookResult.Busy, HookStep.Retry, false)]
    [InlineData("deprovision", HookResult.TimedOut, HookStep.Retry, false)]
    internal void What_follows_from_the_first_answer(string type, HookResult result, HookStep step, bool takesBack)
    {
        var decision = HookRules.AfterAnswer(Call(type), new HookAnswer(result), Now, 0.5, Options);

        Assert.Equal((step, takesBack), (decision.Step, decision.TakesBack));
    }

    [Theory]
    [InlineData(HookResult.Unavailable, true)]
    [InlineData(HookResult.TimedOut, true)]
    [InlineData(HookResult.Broken, true)]
    [InlineData(HookResult.Busy, false)]
    [InlineData(HookResult.Unreachable, false)]
    [InlineData(HookResult.Blocked, false)]
    internal void What_is_given_up_is_taken_back_if_anybody_may_have_done_it(HookResult result, bool takesBack)
    {
        var decision = HookRules.AfterAnswer(Call(HookCall.Provision, attempts: 8, unknown: 1), new HookAnswer(result), Now, 0.5, Options);

        Assert.Equal((HookStep.Fail, "given_up", takesBack), (decision.Step, decision.Outcome, decision.TakesBack));
    }

    [Fact]
    public void A_refusal_after_an_attempt_of_which_nobody_knows_is_taken_back() =>
        Assert.True(HookRules.AfterAnswer(Call(HookCall.Provision, attempts: 2, unknown: 2), new HookAnswer(HookResult.Refused), Now, 0.5, Options).TakesBack);

    [Fact]
    public void A_202_without_a_callback_is_asked_again_and_not_counted_as_a_try()
    {
        Assert.Equal(HookStep.Retry, HookRules.AfterAnswer(Call(HookCall.Provision, attempts: 20), new HookAnswer(HookResult.Accepted), Now, 0.5, WithoutCallback).Step);
        Assert.Equal(HookStep.Fail, HookRules.AfterAnswer(Call(HookCall.Provision) with { Deadline = Now.AddSeconds(0.1) }, new HookAnswer(HookResult.Accepted), Now, 0.5, WithoutCallback).Step);
    }

    static readonly Gen<HookAnswer> Answers =
        from result in Gen.Elements(Enum.GetValues<HookResult>())
        from seconds in Gen.Choose(-10, 100_000)
        from said in Gen.Elements(true, false)
        select new HookAnswer(result, RetryAfter: said ? TimeSpan.FromSeconds(seconds) : null);

    [Fact]
    public void Taking_back_is_never_given_up_and_never_put_off_by_more_than_an_hour() => Prop.ForAll(
        (from answer in Answers from attempts in Gen.Choose(1, 100_000) from jitter in Gen.Choose(0, 100) select (answer, attempts, jitter)).ToArbitrary(),
        given =>
        {
            var decision = HookRules.AfterAnswer(Call(HookCall.Deprovision, given.attempts, given.attempts), given.answer, Now, given.jitter / 100.0, Options);
            return decision.Step is HookStep.Succeed or HookStep.Await || (decision.Step is HookStep.Retry && decision.At > Now && decision.At <= Now.AddHours(1));
        }).QuickCheckThrowOnFailure();

    [Fact]
    public void A_provision_ends_by_its_deadline_whatever_is_answered() => Prop.ForAll(
        (from answers in Answers.ArrayOf(60) from jitter in Gen.Choose(0, 100) select (answers, jitter)).ToArbitrary(),
        given =>
        {
            var (call, now) = (Call(HookCall.Provision, attempts: 0, unknown: 0), Now);
            foreach (var answer in given.answers)
            {
                call = call with { Attempts = call.Attempts + 1, Unknown = call.Unknown + 1 };
                var decision = HookRules.AfterAnswer(call, answer, now, given.jitter / 100.0, given.jitter % 2 == 0 ? Options : WithoutCallback);
                if (decision.Step is not HookStep.Retry)
                    return decision.Step is not HookStep.Await || decision.At == call.Deadline;
                if (decision.At >= call.Deadline)
                    return false;

                now = decision.At!.Value;
                call = call with { Unknown = decision.Unknown };
            }

            return false;
        }).QuickCheckThrowOnFailure();

    [Fact]
    public void What_the_platform_tells_counts_before_anything_else()
    {
        var late = Call(HookCall.Provision) with { Status = "waiting", Deadline = Now.AddSeconds(-1), NextAt = Now.AddSeconds(-1), LeaseUntil = Now.AddSeconds(9) };

        Assert.Equal(HookStep.Look, HookRules.Look(late, Now, Options).Step);
        Assert.Equal(HookStep.Succeed, HookRules.Look(late with { Completion = "succeeded" }, Now, Options).Step);
        var failed = HookRules.Look(late with { Completion = "failed" }, Now, Options);
        Assert.Equal((HookStep.Fail, true), (failed.Step, failed.TakesBack));
        Assert.Equal(HookStep.Leave, HookRules.Look(late with { Status = "failed", Completion = "succeeded" }, Now, Options).Step);
    }

    [Fact]
    public void A_call_that_waits_is_given_up_at_its_deadline_and_taking_back_is_asked_again()
    {
        var waiting = Call(HookCall.Provision) with { Status = "waiting", NextAt = Now + Options.Deadline };
        Assert.Equal(HookStep.Leave, HookRules.Look(waiting, Now + Options.Deadline - TimeSpan.FromSeconds(1), Options).Step);
        var ended = HookRules.Look(waiting, Now + Options.Deadline, Options);
        Assert.Equal((HookStep.Fail, "given_up", true), (ended.Step, ended.Outcome, ended.TakesBack));

        var taking = Call(HookCall.Deprovision) with { Status = "waiting", NextAt = Now };
        Assert.Equal((HookStep.Retry, Now), (HookRules.Look(taking, Now, Options).Step, HookRules.Look(taking, Now, Options).At));
    }

    [Fact]
    public void Who_comes_too_early_or_finds_it_taken_looks_again_when_every_clock_agrees_that_it_is_time()
    {
        var early = Call(HookCall.Provision) with { NextAt = Now.AddSeconds(1) };
        Assert.Equal((HookStep.Look, Now.AddSeconds(1) + HookRules.Early), (HookRules.Look(early, Now, Options).Step, HookRules.Look(early, Now, Options).At));
        var taken = Call(HookCall.Provision) with { LeaseUntil = Now.AddSeconds(7) };
        Assert.Equal((HookStep.Look, Now.AddSeconds(7) + HookRules.Early), (HookRules.Look(taken, Now, Options).Step, HookRules.Look(taken, Now, Options).At));
        // Its timer stands.
        Assert.Equal(HookStep.Leave, HookRules.Look(Call(HookCall.Provision) with { NextAt = Now.AddMinutes(1) }, Now, Options).Step);
    }
}
