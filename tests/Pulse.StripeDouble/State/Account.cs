using System.Text.Json.Nodes;

namespace Pulse.StripeDouble.State;

/// <summary>
/// A Stripe account: all that it keeps, its clock, and what can happen to it. Each resource's part is in its own file. Every change
/// makes the events that Stripe makes; whatever happens, happens under one lock, as if at one moment.
/// </summary>
public sealed partial class Account
{
    const string Letters = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

    readonly Lock _lock = new();
    readonly TimeProvider _clock;
    readonly Random _random;
    readonly Journal? _journal;
    readonly PriorityQueue<string, DateTimeOffset> _boundaries = new();

    TimeSpan _ahead;
    DateTimeOffset? _boundary;
    long _sequence;
    Cause? _cause;

    /// <summary>An account of its own, empty but for what its journal holds.</summary>
    public Account(StripeOptions options)
    {
        _clock = options.Clock;
        _random = options.Seed is { } seed ? new Random(seed) : new Random();
        ApiVersion = options.ApiVersion;
        Livemode = options.Livemode;

        Customers = Shelf<Customer>();
        Products = Shelf<Product>();
        Prices = Shelf<Price>();
        Subscriptions = Shelf<Subscription>(subscription => Remind(subscription));
        Invoices = Shelf<Invoice>();
        Charges = Shelf<Charge>();
        Refunds = Shelf<Refund>();
        Disputes = Shelf<Dispute>();
        Sessions = Shelf<CheckoutSession>();
        ActiveEntitlements = Shelf<ActiveEntitlement>();
        Events = Shelf<StripeEvent>();

        if (options.Journal is { } file)
            _journal = Journal.Open(file, Recall, Forget);
        foreach (var (id, lookupKey) in options.Prices)
            Stock(id, lookupKey, 2900, null);
    }

    internal Shelf<Customer> Customers { get; }
    internal Shelf<Product> Products { get; }
    internal Shelf<Price> Prices { get; }
    internal Shelf<Subscription> Subscriptions { get; }
    internal Shelf<Invoice> Invoices { get; }
    internal Shelf<Charge> Charges { get; }
    internal Shelf<Refund> Refunds { get; }
    internal Shelf<Dispute> Disputes { get; }
    internal Shelf<CheckoutSession> Sessions { get; }
    internal Shelf<ActiveEntitlement> ActiveEntitlements { get; }
    internal Shelf<StripeEvent> Events { get; }

    /// <summary>The version that its events are made with.</summary>
    public string ApiVersion { get; }

    /// <summary>Whether its objects are live.</summary>
    public bool Livemode { get; }

    /// <summary>Events are stamped with the start of their window of this length, so that those within it tie. One second is Stripe's own.</summary>
    public TimeSpan TieWindow { get; set; } = TimeSpan.FromSeconds(1);

    /// <summary>Hears of every event, in the order of their making, within the change.</summary>
    internal Action<StripeEvent> OnEvent { get; set; } = _ => { };

    /// <summary>What its clock says, in whole seconds.</summary>
    public DateTimeOffset Now => _boundary ?? Floor(_clock.GetUtcNow() + _ahead, TimeSpan.FromSeconds(1));

    /// <summary>Moves its clock, and lets happen whatever is due until then: trials end, periods are renewed, cancellations come.</summary>
    public void Advance(TimeSpan by)
    {
        lock (_lock)
        {
            _ahead += by;
            PassTime();
        }
    }

    /// <summary>Lets happen what is due by its clock. The API does it with each request.</summary>
    public void PassTime() => Do(() => true);

    /// <summary>Forgets everything but products and prices, so that a long test does not fill the memory. Its clock stays.</summary>
    public void Clear() => Do(() =>
    {
        Customers.Clear();
        Subscriptions.Clear();
        Invoices.Clear();
        Charges.Clear();
        Refunds.Clear();
        Disputes.Clear();
        Sessions.Clear();
        ActiveEntitlements.Clear();
        Events.Clear();
        _boundaries.Clear();
        return true;
    });

    /// <summary>A change, or a look, at one moment.</summary>
    internal T Do<T>(Func<T> what, Cause? cause = null)
    {
        lock (_lock)
        {
            LetTimePass();
            _cause = cause ?? _cause;
            try
            {
                return what();
            }
            finally
            {
                if (cause is not null)
                    _cause = null;
            }
        }
    }

    void LetTimePass()
    {
        if (_boundary is not null)
            return;

        try
        {
            var now = Now;
            while (_boundaries.TryPeek(out var id, out var due) && due <= now)
            {
                _boundaries.Dequeue();
                // What was put since has its own reminder.
                if (Subscriptions.Find(id) is not { } subscription || subscription.NextBoundary != due)
                    continue;

                _boundary = due;
                Reach(subscription);
            }
        }
        finally
        {
            _boundary = null;
        }
    }

    void Remind(Subscription subscription)
    {
        if (subscription.NextBoundary is { } due)
            _boundaries.Enqueue(subscription.Id, due);
    }

    internal long LastSequence => Do(() => _sequence);

    internal IReadOnlyList<StripeEvent> EventsSince(long sequence) => Do(() => Events.Of(null).Reverse().TakeWhile(made => made.Sequence > sequence).Reverse().ToList());

    internal JsonObject Show(Resource resource) => Do(() => Shown(resource));

    internal void Emit(string type, Resource resource, JsonObject? before = null)
    {
        var view = new View(this, View.IsBasil(ApiVersion));
        Emit(type, resource.ToJson(view), resource.Owner, before);
    }

    void Emit(string type, JsonObject now, string? customer, JsonObject? before)
    {
        var stripeEvent = Events.Put(new StripeEvent
        {
            Id = NewId("evt_"),
            ThinId = NewId("evt_test_"),
            Created = Floor(Now, TieWindow),
            Type = type,
            ApiVersion = ApiVersion,
            Livemode = Livemode,
            CustomerId = customer,
            Data = now.ToJsonString(),
            Previous = before is null ? null : StripeEvent.Difference(before, now).ToJsonString(),
            RequestId = _cause?.RequestId,
            IdempotencyKey = _cause?.IdempotencyKey,
        });
        OnEvent(stripeEvent);
    }

    /// <summary>What an event's <c>previous_attributes</c> are found from.</summary>
    JsonObject Shown(Resource resource) => resource.ToJson(new View(this, View.IsBasil(ApiVersion)));


    internal string NewId(string prefix) => NewId(prefix, prefix is "cus_" or "prod_" ? 14 : 24, _random);

    internal static string NewRequestId() => NewId("req_", 14, Random.Shared);

    static string NewId(string prefix, int length, Random random) => prefix + random.GetString(Letters, length);

    Shelf<T> Shelf<T>(Action<T>? onPut = null) where T : Resource => new(() => ++_sequence, resource =>
    {
        onPut?.Invoke(resource);
        _journal?.Write(resource);
    }, resource => _journal?.Strike(resource));

    static DateTimeOffset Floor(DateTimeOffset time, TimeSpan step) => new(time.UtcTicks / step.Ticks * step.Ticks, TimeSpan.Zero);
}

/// <summary>The request that a change was made by.</summary>
sealed record Cause(string RequestId, string? IdempotencyKey);
