namespace Pulse.StripeDouble.Api;

/// <summary>What goes wrong with requests to the API, for a while or so many times.</summary>
public sealed class ApiFaults
{
    readonly Lock _lock = new();
    readonly List<Fault> _faults = [];
    readonly Random _random;

    internal ApiFaults(int? seed) => _random = seed is { } value ? new Random(value + 2) : new Random();

    /// <summary>Each answer takes a time of its own within these bounds.</summary>
    public (TimeSpan Least, TimeSpan Most) Jitter { get; set; }

    /// <summary>Whether an answer shows what was when its request arrived (so a slow one is stale), or when it leaves.</summary>
    public ReadsAt ReadsAt { get; set; } = ReadsAt.Arrival;

    /// <summary>More requests of one route within a second than this are answered 429, as Stripe does; 0: as many as you like.</summary>
    public int PerSecond { get; set; }

    /// <summary>Adds one; the first that fits a request befalls it.</summary>
    public void Add(Fault fault)
    {
        lock (_lock)
            _faults.Add(fault with { Since = System.Diagnostics.Stopwatch.GetTimestamp() });
    }

    /// <summary>Everything goes right again.</summary>
    public void Clear()
    {
        lock (_lock)
            _faults.Clear();
        Jitter = default;
        PerSecond = 0;
    }

    internal Fault? Befall(string route)
    {
        lock (_lock)
        {
            _faults.RemoveAll(fault => fault.IsOver);
            for (var at = 0; at < _faults.Count; at++)
            {
                var fault = _faults[at];
                if (fault.Route is { } part && !route.Contains(part, StringComparison.Ordinal) || _random.NextDouble() >= fault.Share)
                    continue;

                _faults[at] = fault with { Times = fault.Times - 1 };
                return fault;
            }

            return null;
        }
    }

    internal TimeSpan Pause()
    {
        var (least, most) = Jitter;
        if (most <= TimeSpan.Zero)
            return TimeSpan.Zero;

        lock (_lock)
            return least + (most - least) * _random.NextDouble();
    }
}

/// <summary>One kind of trouble.</summary>
/// <param name="Kind">What happens.</param>
public sealed record Fault(FaultKind Kind)
{
    /// <summary>Part of the route that it befalls, such as <c>GET /v1/subscriptions</c>; null: any.</summary>
    public string? Route { get; init; }

    /// <summary>The share of requests that it befalls.</summary>
    public double Share { get; init; } = 1;

    /// <summary>How many it befalls; null: any number.</summary>
    public int? Times { get; init; }

    /// <summary>For how long; null: until it is cleared.</summary>
    public TimeSpan? Lasts { get; init; }

    /// <summary>Of an error.</summary>
    public int Status { get; init; } = 500;

    /// <summary>Seconds that a 429 asks to wait; null: it doesn't say.</summary>
    public int? RetryAfter { get; init; }

    internal long Since { get; init; }

    internal bool IsOver => Times <= 0 || Lasts is { } lasts && System.Diagnostics.Stopwatch.GetElapsedTime(Since) > lasts;
}

/// <summary>What can go wrong with a request.</summary>
public enum FaultKind
{
    /// <summary>429; nothing is done.</summary>
    RateLimit,

    /// <summary>5xx; nothing is done.</summary>
    Error,

    /// <summary>It is done, and never answered: the connection stays open until the client leaves it.</summary>
    Hang,

    /// <summary>It is done, and the connection is reset instead of an answer.</summary>
    Reset,
}

/// <summary>Which moment an answer shows.</summary>
public enum ReadsAt
{
    /// <summary>When the request arrived.</summary>
    Arrival,

    /// <summary>When the answer leaves.</summary>
    Answer,
}
