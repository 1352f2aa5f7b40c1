using System.Text;
using System.Text.Json;
using FsCheck;
using FsCheck.Fluent;
using Pulse.Contracts.DeadLetters;
using Pulse.Messaging.Rehearsing;
using Pulse.Worker.DeadLetters;
using Replay = Pulse.Worker.DeadLetters.Replay;

namespace Pulse.Tests.DeadLetters;

/// <summary>What a replay does next, what an edit makes of an envelope, what a preview says.</summary>
public sealed class ReplayRulesTests
{
    static readonly DateTimeOffset Now = new(2026, 11, 21, 18, 0, 0, TimeSpan.Zero);
    static readonly Config Often = Config.QuickThrowOnFailure.WithMaxTest(500);

    static Replay Of(string status) => new()
    {
        ReplayId = Guid.Empty,
        Status = status,
        Canary = 5,
        StopOnFailureRatio = 0.2,
        RatePerSecond = 50,
        ExpiresAt = Now.AddHours(1),
        CanaryUntil = Now.AddMinutes(15),
    };

    [Fact]
    public void The_canary_goes_first_and_nothing_behind_it_before_it_is_handled()
    {
        Assert.Equal(new ReplayStep.Send(5, Now), ReplayRules.Next(Of("canary") with { Planned = 100 }, Now));
        Assert.Equal(new ReplayStep.Wait(), ReplayRules.Next(Of("canary") with { Planned = 95, Sent = 1, Resolved = 4 }, Now));
        Assert.Equal(new ReplayStep.Go(), ReplayRules.Next(Of("canary") with { Planned = 95, Resolved = 4, FailedAgain = 1 }, Now));
        Assert.Equal(new ReplayStep.End("stopped", "canary_failed"), ReplayRules.Next(Of("canary") with { Planned = 95, Resolved = 3, FailedAgain = 2 }, Now));
        Assert.Equal(new ReplayStep.End("stopped", "canary_unanswered"), ReplayRules.Next(Of("canary") with { Planned = 95, Sent = 1, Resolved = 4 }, Now.AddMinutes(15)));
        Assert.Equal(new ReplayStep.End("completed"), ReplayRules.Next(Of("canary") with { Resolved = 5 }, Now));
    }

    [Fact]
    public void It_stops_when_more_failed_than_it_was_told_but_not_for_the_first_few()
    {
        Assert.IsType<ReplayStep.Send>(ReplayRules.Next(Of("running") with { Planned = 50, FailedAgain = 2 }, Now));
        Assert.Equal(new ReplayStep.End("stopped", "failure_ratio"), ReplayRules.Next(Of("running") with { Planned = 50, FailedAgain = 3 }, Now));
        Assert.IsType<ReplayStep.Send>(ReplayRules.Next(Of("running") with { Planned = 50, Resolved = 80, FailedAgain = 20 }, Now));
        Assert.IsType<ReplayStep.End>(ReplayRules.Next(Of("running") with { Planned = 50, Resolved = 79, FailedAgain = 21 }, Now));
        Assert.IsType<ReplayStep.Send>(ReplayRules.Next(Of("running") with { Planned = 50, FailedAgain = 500, StopOnFailureRatio = 1 }, Now));
        // Nothing is left to stop.
        Assert.Equal(new ReplayStep.End("completed"), ReplayRules.Next(Of("running") with { FailedAgain = 9 }, Now));
    }

    [Fact]
    public void A_plan_expires_and_nothing_else_does()
    {
        Assert.Equal(new ReplayStep.End("expired"), ReplayRules.Next(Of("planned"), Now.AddHours(1)));
        Assert.Equal(new ReplayStep.Wait(), ReplayRules.Next(Of("planned"), Now.AddMinutes(59)));
        foreach (var status in (string[])["paused", "stopped", "cancelled", "completed", "expired"])
            Assert.Equal(new ReplayStep.Wait(), ReplayRules.Next(Of(status) with { Planned = 3 }, Now.AddYears(1)));
    }

    [Fact]
    public void Over_any_time_no_more_go_out_than_the_rate_allows() => Check.One(Often, Prop.ForAll(
        Gen.Choose(1, 2000).ToArbitrary(), Gen.Choose(1, 3000).ToArbitrary(), Gen.Choose(10, 900).ToArbitrary(), (rate, letters, pause) =>
        {
            var (now, planned, due) = (Now, letters, new List<DateTimeOffset>());
            DateTimeOffset? next = null;
            for (var turn = 0; turn < 100_000 && planned > 0; turn++, now = now.AddMilliseconds(pause))
            {
                if (ReplayRules.Next(Of("running") with { RatePerSecond = rate, Planned = planned, NextDueAt = next }, now) is not ReplayStep.Send(var count, var at))
                    continue;
                due.AddRange(Enumerable.Range(0, count).Select(number => at + number * ReplayRules.Interval(rate)));
                next = at + count * ReplayRules.Interval(rate);
                planned -= count;
            }

            // In no second more than its rate, and one for the second's edge; and none before its turn.
            return planned == 0 && due.Zip(due.Skip(1)).All(pair => pair.Second >= pair.First)
                && due.Index().All(one => one.Index + rate + 1 >= due.Count || due[one.Index + rate + 1] - one.Item >= TimeSpan.FromMilliseconds(999));
        }));

    [Fact]
    public void Without_a_rate_no_more_are_under_way_than_a_stop_could_still_mean() => Check.One(Often, Prop.ForAll(
        Gen.Choose(0, 3000).ToArbitrary(), Gen.Choose(0, 3000).ToArbitrary(), (queued, planned) =>
            ReplayRules.Next(Of("running") with { RatePerSecond = 0, Planned = planned, Queued = queued }, Now) is not ReplayStep.Send(var count, _)
            || (count <= planned && count + queued <= ReplayRules.MostUnderWay && count > 0)));

    [Fact]
    public void An_edit_changes_the_message_and_its_id_and_tells_where()
    {
        var id = Guid.NewGuid();
        var (body, parts) = EditRules.Edit(
            """{"messageId":"x","conversationId":"c","headers":{"MT-OriginalMessageId":"y","MT-Redelivery-Count":4},"message":{"a":1,"b":[1,2],"c/d":null}}"""u8,
            JsonSerializer.Deserialize<JsonElement>("""{"a":1,"b":[1,3,4],"e":true}"""), id)!.Value;
        Assert.Equal(["/b/1", "/b/2", "/e"], parts.Select(part => part.Path));
        Assert.Equal(("2", "3"), (parts[0].Before!.ToJsonString(), parts[0].After!.ToJsonString()));
        Assert.Equal($$$"""{"messageId":"{{{id}}}","conversationId":"c","headers":{"MT-Redelivery-Count":4},"message":{"a":1,"b":[1,3,4],"e":true}}""", Encoding.UTF8.GetString(body));
        Assert.Null(EditRules.Edit("nothing"u8, default, id));
    }

    [Theory]
    [InlineData(10, 50, "1 2 3 4 5 6 7 8 9 10")]
    [InlineData(100_000, 3, "1 50000 100000")]
    [InlineData(7, 1, "1")]
    public void A_sample_is_spread_over_the_plan(int letters, int sample, string positions) =>
        Assert.Equal(positions, string.Join(' ', PreviewRules.Positions(letters, sample)));

    [Fact]
    public void An_audit_entry_is_nothing_created()
    {
        var counts = new Dictionary<string, long> { ["pulse.audit_log"] = 1 };
        Assert.Equal("would_change_nothing", PreviewRules.Outcome(default, new RehearsalOutcome(RehearsalEnd.Consumed) { Inserted = counts }).Outcome);
        Assert.Equal("would_create", PreviewRules.Outcome(default, new RehearsalOutcome(RehearsalEnd.Consumed) { Inserted = new Dictionary<string, long>(counts) { ["pulse.users"] = 1 } }).Outcome);
        Assert.Equal("would_change", PreviewRules.Outcome(default, new RehearsalOutcome(RehearsalEnd.Consumed) { Updated = counts }).Outcome);
    }
}
