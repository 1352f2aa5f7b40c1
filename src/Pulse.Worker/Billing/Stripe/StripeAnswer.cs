namespace Pulse.Worker.Billing.Stripe;

/// <summary>What became of a question to Stripe.</summary>
enum StripeResult
{
    Fetched,

    /// <summary>There is no such thing.</summary>
    Gone,

    /// <summary>Too many questions: 429, or it is not our turn.</summary>
    RateLimited,

    /// <summary>No answer in time, 5xx, or none that can be read.</summary>
    Unavailable,

    /// <summary>401 or 403: the key is wrong, or may not ask this. Waiting helps once somebody has put it right.</summary>
    Refused,

    /// <summary>Any other 4xx: the question itself is wrong, which is a bug.</summary>
    Rejected,
}

/// <summary>An answer, or why there is none.</summary>
/// <param name="RetryAfter">What Stripe, or the turn, asks to wait.</param>
/// <param name="Reason">For a log: a status and Stripe's code, never a header or a body.</param>
readonly record struct StripeAnswer<T>(StripeResult Result, T? Value = default, TimeSpan? RetryAfter = null, string? Reason = null)
{
    public bool IsFetched => Result is StripeResult.Fetched;

    /// <summary>The same failure as an answer to another question.</summary>
    public StripeAnswer<TOther> As<TOther>() => new(Result, default, RetryAfter, Reason);
}
