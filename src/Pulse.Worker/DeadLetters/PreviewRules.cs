using Pulse.Contracts.DeadLetters;
using Pulse.Messaging.Rehearsing;

namespace Pulse.Worker.DeadLetters;

/// <summary>What a preview says. Pure.</summary>
static class PreviewRules
{
    /// <summary>Positions of a plan, from 1, evenly spread: the first and the last among them.</summary>
    public static IReadOnlyList<int> Positions(int letters, int sample) => sample >= letters
        ? [.. Enumerable.Range(1, letters)]
        : sample == 1 ? [1] : [.. Enumerable.Range(0, sample).Select(number => 1 + (int)((long)number * (letters - 1) / (sample - 1)))];

    public static PreviewOutcome Outcome(Guid deadLetterId, RehearsalOutcome rehearsed)
    {
        var (outcome, why) = rehearsed.End switch
        {
            RehearsalEnd.Consumed when rehearsed.Inserted.Keys.Any(IsOfTheDomain) => ("would_create", null),
            RehearsalEnd.Consumed when rehearsed.Updated.Count + rehearsed.Deleted.Count + rehearsed.Published.Count > 0 => ("would_change", null),
            RehearsalEnd.Consumed => ("would_change_nothing", null),
            RehearsalEnd.AlreadyConsumed => ("would_change_nothing", "already_done"),
            RehearsalEnd.Failed => ("would_fail", null),
            RehearsalEnd.NotRehearsable => ("cannot_tell", "external_call"),
            RehearsalEnd.NotConsumed => ("cannot_tell", "not_a_message"),
            RehearsalEnd.Busy => ("cannot_tell", "busy"),
            _ => ("cannot_tell", (string?)"timed_out"),
        };
        return new PreviewOutcome
        {
            DeadLetterId = deadLetterId,
            Outcome = outcome,
            Why = why,
            // The type only: a message may quote the payload, and an operation's result is not masked.
            ExceptionType = rehearsed.Exception?.GetType().FullName,
            Inserted = Some(rehearsed.Inserted),
            Updated = Some(rehearsed.Updated),
            Deleted = Some(rehearsed.Deleted),
            Published = Some(rehearsed.Published),
        };
    }

    // Who is told of everything creates nothing by it.
    static bool IsOfTheDomain(string table) => table != "pulse.audit_log";

    static IReadOnlyDictionary<string, long>? Some(IReadOnlyDictionary<string, long> counts) => counts.Count > 0 ? counts : null;

    public static PreviewResult Result(Guid replayId, int letters, IReadOnlyList<PreviewOutcome> outcomes, DateTimeOffset at)
    {
        var result = new PreviewResult
        {
            ReplayId = replayId,
            At = at,
            Letters = letters,
            LookedAt = outcomes.Count,
            WouldCreate = Count("would_create"),
            WouldChange = Count("would_change"),
            WouldChangeNothing = Count("would_change_nothing"),
            WouldFail = Count("would_fail"),
            CannotTell = Count("cannot_tell"),
            Summary = "",
            Outcomes = outcomes,
        };
        return result with { Summary = ReplayText.Summary(result) };

        int Count(string outcome) => outcomes.Count(one => one.Outcome == outcome);
    }
}
