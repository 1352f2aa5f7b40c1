namespace Pulse.StripeDouble.Webhooks;

/// <summary>What goes wrong on the way to an endpoint. Shares are from 0 to 1.</summary>
public sealed record DeliveryFaults
{
    /// <summary>The share of events that are never sent.</summary>
    public double Drop { get; init; }

    /// <summary>The share of events that are sent twice.</summary>
    public double Duplicate { get; init; }

    /// <summary>Each waits a time of its own up to this, so that they overtake each other.</summary>
    public TimeSpan Delay { get; init; }

    /// <summary>So many are gathered, for at most 200 ms, and sent in a random order.</summary>
    public int Shuffle { get; init; } = 1;
}
