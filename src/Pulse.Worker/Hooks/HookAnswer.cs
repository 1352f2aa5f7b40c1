namespace Pulse.Worker.Hooks;

/// <summary>How one call ended.</summary>
enum HookResult
{
    /// <summary>2xx: it is done.</summary>
    Done,

    /// <summary>202: it will be, and who was called tells.</summary>
    Accepted,

    /// <summary>4xx, or a redirect, which is not followed: read, and not done.</summary>
    Refused,

    /// <summary>410: what is to be taken back is not there.</summary>
    Gone,

    /// <summary>429: not now.</summary>
    Busy,

    /// <summary>408 or 5xx.</summary>
    Unavailable,

    /// <summary>No answer in time.</summary>
    TimedOut,

    /// <summary>The connection broke after it was there.</summary>
    Broken,

    /// <summary>There was no connection: no such name, nobody there, no good certificate.</summary>
    Unreachable,

    /// <summary>It is on a private network, which is not allowed.</summary>
    Blocked,
}

/// <summary>What came of one call.</summary>
/// <param name="Status">Of the HTTP answer, if there was one.</param>
/// <param name="RetryAfter">What it asks for.</param>
sealed record HookAnswer(HookResult Result, int? Status = null, TimeSpan? RetryAfter = null)
{
    public bool IsDone => Result is HookResult.Done;

    /// <summary>Surely nothing was done. After the others (a time-out say) nobody knows.</summary>
    public bool DidNothing => Result is HookResult.Refused or HookResult.Gone or HookResult.Busy or HookResult.Unreachable or HookResult.Blocked;

    /// <summary>The metric's and the row's word.</summary>
    public string Word => Result switch
    {
        HookResult.Done => "done",
        HookResult.Accepted => "accepted",
        HookResult.Refused => "refused",
        HookResult.Gone => "gone",
        HookResult.Busy => "busy",
        HookResult.Unavailable => "unavailable",
        HookResult.TimedOut => "timed_out",
        HookResult.Broken => "broken",
        HookResult.Unreachable => "unreachable",
        _ => "blocked",
    };
}
