namespace Pulse.Worker.Billing;

/// <summary>How customers are kept in step with Stripe.</summary>
sealed record SyncOptions
{
    /// <summary>How long a worker has a customer to itself. One that died holds it up for no longer.</summary>
    public TimeSpan Lease { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>How long a fetch may take, all its pages. Below the lease.</summary>
    public TimeSpan FetchWithin { get; init; } = TimeSpan.FromSeconds(25);

    /// <summary>After a fetch a customer is let be for so long: what comes in a burst is seen by the next one together.</summary>
    public TimeSpan Settle { get; init; } = TimeSpan.FromMilliseconds(250);

    /// <summary>How long it is let be when the burst goes on. Four times as long each time, up to this.</summary>
    public TimeSpan SettleMost { get; init; } = TimeSpan.FromSeconds(1.5);

    /// <summary>How long after the first failure Stripe is asked again. Doubles each time.</summary>
    public TimeSpan BackoffLeast { get; init; } = TimeSpan.FromSeconds(1);

    /// <summary>How long at most, but for what Stripe asks for.</summary>
    public TimeSpan BackoffMost { get; init; } = TimeSpan.FromMinutes(5);

    /// <summary>How much of a Retry-After is believed.</summary>
    public TimeSpan RetryAfterMost { get; init; } = TimeSpan.FromHours(1);

    /// <summary>How often Stripe's list of events is compared with the inbox.</summary>
    public TimeSpan PollEvery { get; init; } = TimeSpan.FromMinutes(5);

    /// <summary>How far back before the last look it is read again: an event may appear in it late.</summary>
    public TimeSpan PollOverlap { get; init; } = TimeSpan.FromMinutes(10);

    /// <summary>How far back Stripe's list of events reaches, with a day to spare.</summary>
    public TimeSpan PollReach { get; init; } = TimeSpan.FromDays(29);

    /// <summary>An event that is younger may still be on its way: that it is not here yet is no drift.</summary>
    public TimeSpan DeliveryTakes { get; init; } = TimeSpan.FromMinutes(1);

    /// <summary>An event that is here for longer and not done with has been lost by a handler.</summary>
    public TimeSpan HandlingTakes { get; init; } = TimeSpan.FromMinutes(5);

    /// <summary>Every linked customer is fetched at least so often.</summary>
    public TimeSpan SweepEvery { get; init; } = TimeSpan.FromDays(1);

    /// <summary>Tests only: false is the mutant that stores whatever it fetched.</summary>
    internal bool Fenced { get; init; } = true;

    /// <summary>Tests stop a worker at a point by its name. Null in every real process.</summary>
    internal Func<string, Task>? AtPoint { get; init; }

    /// <summary>Tests kill a process of its own at a point. Null in every real process.</summary>
    internal static Action<string>? OfProcess { get; set; }

    internal Task ReachedAsync(string point)
    {
        OfProcess?.Invoke(point);
        return AtPoint is null ? Task.CompletedTask : AtPoint(point);
    }
}
