namespace Pulse.Worker.Hooks;

/// <summary>What becomes of a call.</summary>
enum HookStep
{
    /// <summary>It stays as it is, and whatever moves it on is there already.</summary>
    Leave,

    /// <summary>Another has it, or it is not yet time: a timer, and nothing else.</summary>
    Look,

    /// <summary>It is called again later.</summary>
    Retry,

    /// <summary>The platform has it, and tells.</summary>
    Await,

    /// <summary>It is done.</summary>
    Succeed,

    /// <summary>It was refused, or is given up.</summary>
    Fail,
}

/// <summary>What becomes of a call, and when is looked again.</summary>
/// <param name="At">Of Look, Retry and Await.</param>
/// <param name="Outcome">In a word, for the row and the metric.</param>
/// <param name="Unknown">Attempts of which nobody knows whether they did anything.</param>
sealed record HookDecision(HookStep Step, string Outcome, int Unknown, DateTimeOffset? At = null)
{
    /// <summary>A provision that failed may have left something behind. A deprovision that the platform says has failed is begun anew.</summary>
    public bool TakesBack => Step is HookStep.Fail && Unknown > 0;
}

/// <summary>What is decided of a call, without I/O.</summary>
static class HookRules
{
    // Clocks of two workers differ: a timer may come to the one whose clock is behind, and must not come to it again and again.
    internal static readonly TimeSpan Early = TimeSpan.FromSeconds(2);

    /// <summary>What follows from an answer, or from none.</summary>
    /// <param name="call">As it was when it was leased, this attempt counted.</param>
    /// <param name="answer">What came of it.</param>
    /// <param name="jitter">From 0 to 1.</param>
    public static HookDecision AfterAnswer(HookCall call, HookAnswer answer, DateTimeOffset now, double jitter, HookOptions options)
    {
        var unknown = call.Unknown - (answer.DidNothing ? 1 : 0);
        switch (answer.Result)
        {
            case HookResult.Done:
            case HookResult.Gone when !call.IsProvision:
                return new(HookStep.Succeed, answer.Word, unknown);

            // Without an address to tell it at, asking again is how it is found out.
            case HookResult.Accepted when options.PublicUrl is not null:
                return new(HookStep.Await, answer.Word, unknown, call.Deadline ?? now + options.Deadline);

            // Somebody read it and did not do it: the next time would be the same. So a mistake of the platform's shows at once.
            case HookResult.Refused or HookResult.Gone when call.IsProvision:
                return new(HookStep.Fail, answer.Word, unknown);
        }

        var next = now + Backoff(call, answer.RetryAfter, jitter, options);
        var triesLeft = call.Attempts < options.Attempts || answer.Result is HookResult.Accepted;
        // Taking back is never given up: what it is for would stay for ever.
        return !call.IsProvision || (triesLeft && next < call.Deadline)
            ? new(HookStep.Retry, answer.Word, unknown, next)
            : new(HookStep.Fail, "given_up", unknown);
    }

    /// <summary>What is to be done with a call that can't be made now.</summary>
    /// <param name="call">As it is, locked.</param>
    public static HookDecision Look(HookCall call, DateTimeOffset now, HookOptions options) => call switch
    {
        { HasEnded: true } => Leave(call),
        { Completion: "succeeded" } => new(HookStep.Succeed, "completed", call.Unknown),
        // What it did before it failed nobody knows.
        { Completion: not null } => new(HookStep.Fail, "failed", Math.Max(1, call.Unknown)),
        _ when options.Url is null => new(HookStep.Succeed, "skipped", call.Unknown),
        { LeaseUntil: { } until } when until > now => new(HookStep.Look, "", call.Unknown, until + Early),
        { IsProvision: true } when now >= call.Deadline => new(HookStep.Fail, "given_up", call.Unknown),
        // Nobody told in time what became of it. Its key is the same, so asking again does nothing twice.
        { Status: "waiting" } when now >= call.NextAt => new(HookStep.Retry, "given_up", call.Unknown, now),
        { Status: "pending" } when call.NextAt <= now + Early => new(HookStep.Look, "", call.Unknown, call.NextAt + Early),
        _ => Leave(call),
    };

    static HookDecision Leave(HookCall call) => new(HookStep.Leave, "", call.Unknown);

    /// <summary>How long to wait: doubled each time, half of it by chance, and what Retry-After asks for within its bound.</summary>
    public static TimeSpan Backoff(HookCall call, TimeSpan? retryAfter, double jitter, HookOptions options)
    {
        var most = call.IsProvision ? options.BackoffMost : options.DeprovisionBackoffMost;
        var doubled = options.BackoffLeast * Math.Pow(2, Math.Min(call.Attempts - 1, 30));
        var wait = (doubled < most ? doubled : most) * (0.5 + jitter / 2);
        var asked = retryAfter is { } given && given < options.RetryAfterMost ? given : retryAfter is null ? TimeSpan.Zero : options.RetryAfterMost;
        return asked > wait ? asked : wait;
    }
}
