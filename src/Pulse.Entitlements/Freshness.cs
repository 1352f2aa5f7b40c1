namespace Pulse.Entitlements;

/// <summary>How well an answer is founded. Every answer says it, and each is counted.</summary>
public enum Freshness
{
    /// <summary>Read from the store within <see cref="EntitlementOptions.Fresh"/>, and no change was announced since.</summary>
    Fresh,

    /// <summary>
    /// Read from the store before: older than that, or a change is announced that is not read yet, or the store can't be reached.
    /// Boundaries that were known when it was read (the end of a trial, of a grace) still take effect at their time.
    /// </summary>
    LastKnown,

    /// <summary>Never read: the store can't be reached, and what <see cref="EntitlementOptions.TrialCapabilities"/> says stands in.</summary>
    Assumed,
}
