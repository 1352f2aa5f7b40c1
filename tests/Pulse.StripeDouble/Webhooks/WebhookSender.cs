using System.Text;
using System.Text.Json;
using System.Threading.Channels;
using Pulse.StripeDouble.State;

namespace Pulse.StripeDouble.Webhooks;

/// <summary>Delivers events, signed, to the endpoints: by itself as they come, with faults and retries, or as a test tells it to.</summary>
public sealed class WebhookSender : IAsyncDisposable
{
    readonly Account _account;
    readonly Random _random;
    readonly Lock _lock = new();
    readonly HttpClient _http = new(new SocketsHttpHandler { UseProxy = false, PooledConnectionLifetime = TimeSpan.FromMinutes(1) }) { Timeout = TimeSpan.FromSeconds(10) };
    readonly Channel<StripeEvent> _queue = Channel.CreateUnbounded<StripeEvent>(new UnboundedChannelOptions { SingleReader = true });
    readonly CancellationTokenSource _stopping = new();
    readonly SemaphoreSlim _slots;
    readonly Task _pump;
    int _underWay;
    int _sent;

    internal WebhookSender(Account account, StripeOptions options)
    {
        _account = account;
        _random = options.Seed is { } seed ? new Random(seed + 1) : new Random();
        _slots = new SemaphoreSlim(options.Concurrency);
        Endpoints = options.Endpoints;
        ByItself = options.DeliversByItself;
        MaxAttempts = options.MaxAttempts;
        FirstBackoff = options.FirstBackoff;
        // A start finds what a stop has left.
        foreach (var left in account.History().Where(made => !made.Delivered))
            Enqueue(left);
        account.OnEvent = Enqueue;
        _pump = Task.Run(PumpAsync);
    }

    /// <summary>Where events go.</summary>
    public IReadOnlyList<WebhookEndpoint> Endpoints { get; set; }

    /// <summary>Whether an event is sent as soon as it is made.</summary>
    public bool ByItself { get; set; }

    /// <summary>What goes wrong on the way; of events sent by themselves only.</summary>
    public DeliveryFaults Faults { get; set; } = new();

    /// <summary>How often an event is tried that the endpoint does not take.</summary>
    public int MaxAttempts { get; set; }

    /// <summary>The wait before the second try; it doubles, up to 10 s.</summary>
    public TimeSpan FirstBackoff { get; set; }

    /// <summary>Posts made so far.</summary>
    public int Sent => Volatile.Read(ref _sent);

    /// <summary>Events that are on their way, retries and delays included.</summary>
    public int UnderWay => Volatile.Read(ref _underWay);

    /// <summary>Events that no endpoint, or not every one, has taken: the oldest first.</summary>
    public IReadOnlyList<StripeEvent> Undelivered() => [.. _account.History().Where(made => !made.Delivered)];

    /// <summary>Sends these events once, one after the other in this order, without faults; as often as they are named.</summary>
    /// <returns>The status of each post; 0: it found nobody.</returns>
    public async Task<IReadOnlyList<int>> DeliverAsync(IEnumerable<string> eventIds, CancellationToken ct = default)
    {
        var answers = new List<int>();
        foreach (var id in eventIds)
        {
            var stripeEvent = _account.Event(id);
            var taken = Endpoints.Count > 0;
            foreach (var message in Messages(stripeEvent))
            {
                var status = await PostAsync(message, ct);
                answers.Add(status);
                taken &= status is >= 200 and < 300;
            }

            if (taken)
                _account.Arrived(id);
        }

        return answers;
    }

    /// <summary>Waits until nothing is on its way.</summary>
    /// <exception cref="TimeoutException">Something still was.</exception>
    public async Task QuietAsync(TimeSpan deadline)
    {
        using var timer = new PeriodicTimer(TimeSpan.FromMilliseconds(5));
        var since = System.Diagnostics.Stopwatch.GetTimestamp();
        while (UnderWay > 0)
        {
            if (System.Diagnostics.Stopwatch.GetElapsedTime(since) > deadline)
                throw new TimeoutException($"{UnderWay} events are still on their way after {deadline}.");
            await timer.WaitForNextTickAsync();
        }
    }

    /// <summary>An event as it is posted, signed now.</summary>
    public SignedEvent Sign(StripeEvent stripeEvent, string secret, bool thin = false)
    {
        var body = thin ? JsonSerializer.SerializeToUtf8Bytes(stripeEvent.Thin()) : JsonSerializer.SerializeToUtf8Bytes(stripeEvent.Snapshot());
        return new SignedEvent(body, Signature.Header(body, _account.Now, secret));
    }

    void Enqueue(StripeEvent stripeEvent)
    {
        if (!ByItself || Endpoints.Count == 0)
            return;

        Interlocked.Increment(ref _underWay);
        _queue.Writer.TryWrite(stripeEvent);
    }

    async Task PumpAsync()
    {
        var batch = new List<StripeEvent>();
        while (await _queue.Reader.WaitToReadAsync() && !_stopping.IsCancellationRequested)
        {
            var wanted = Math.Max(1, Faults.Shuffle);
            using var patience = new CancellationTokenSource(TimeSpan.FromMilliseconds(200));
            try
            {
                while (batch.Count < wanted)
                    batch.Add(await _queue.Reader.ReadAsync(patience.Token));
            }
            catch (Exception exception) when (exception is OperationCanceledException or ChannelClosedException)
            {
                // Fewer than wanted have come.
            }

            var order = batch.ToArray();
            if (wanted > 1)
                Dice(random => random.Shuffle(order));
            foreach (var next in order)
                await StartAsync(next);
            batch.Clear();
        }
    }

    // Posts begin in the queue's order, as many at a time as there are slots.
    async Task StartAsync(StripeEvent stripeEvent)
    {
        var faults = Faults;
        var (drop, twice, delay, again) = Dice(random =>
            (random.NextDouble() < faults.Drop, random.NextDouble() < faults.Duplicate, faults.Delay * random.NextDouble(), faults.Delay * random.NextDouble()));
        if (drop)
        {
            Interlocked.Decrement(ref _underWay);
            return;
        }

        if (twice)
        {
            Interlocked.Increment(ref _underWay);
            _ = CarryAsync(stripeEvent, again, held: false);
        }

        if (delay == TimeSpan.Zero)
            await _slots.WaitAsync(CancellationToken.None);
        _ = CarryAsync(stripeEvent, delay, held: delay == TimeSpan.Zero);
    }

    async Task CarryAsync(StripeEvent stripeEvent, TimeSpan delay, bool held)
    {
        await Task.Yield();
        try
        {
            if (!held)
            {
                await Task.Delay(delay, _stopping.Token);
                await _slots.WaitAsync(_stopping.Token);
                held = true;
            }

            var waiting = Messages(stripeEvent).ToList();
            for (var attempt = 1; ; attempt++)
            {
                var taken = new List<Message>();
                foreach (var message in waiting)
                {
                    if (await PostAsync(message, _stopping.Token) is >= 200 and < 300)
                        taken.Add(message);
                }

                waiting.RemoveAll(taken.Contains);
                if (waiting.Count == 0)
                {
                    _account.Arrived(stripeEvent.Id);
                    return;
                }

                if (attempt >= MaxAttempts)
                    return;

                _slots.Release();
                held = false;
                var backoff = Math.Min(FirstBackoff.TotalMilliseconds * Math.Pow(2, attempt - 1), 10_000) * Dice(random => 0.75 + random.NextDouble() / 2);
                await Task.Delay(TimeSpan.FromMilliseconds(backoff), _stopping.Token);
                await _slots.WaitAsync(_stopping.Token);
                held = true;
            }
        }
        catch (OperationCanceledException)
        {
            // The end of it all.
        }
        finally
        {
            if (held)
                _slots.Release();
            Interlocked.Decrement(ref _underWay);
        }
    }

    IEnumerable<Message> Messages(StripeEvent stripeEvent)
    {
        byte[]? snapshot = null, thin = null;
        foreach (var endpoint in Endpoints)
        {
            if (endpoint.Payload is EventPayload.Snapshot or EventPayload.Both)
                yield return new Message(endpoint, snapshot ??= JsonSerializer.SerializeToUtf8Bytes(stripeEvent.Snapshot()));
            if (endpoint.Payload is EventPayload.Thin or EventPayload.Both)
                yield return new Message(endpoint, thin ??= JsonSerializer.SerializeToUtf8Bytes(stripeEvent.Thin()));
        }
    }

    async Task<int> PostAsync(Message message, CancellationToken ct)
    {
        Interlocked.Increment(ref _sent);
        using var request = new HttpRequestMessage(HttpMethod.Post, message.Endpoint.Url) { Content = new ByteArrayContent(message.Body) };
        request.Content.Headers.TryAddWithoutValidation("Content-Type", "application/json; charset=utf-8");
        request.Headers.TryAddWithoutValidation("User-Agent", "Stripe/1.0 (+https://stripe.com/docs/webhooks)");
        // Each try is signed anew: its time must be recent.
        request.Headers.TryAddWithoutValidation("Stripe-Signature", Signature.Header(message.Body, _account.Now, message.Endpoint.Secrets));
        try
        {
            using var answer = await _http.SendAsync(request, ct);
            return (int)answer.StatusCode;
        }
        catch (Exception exception) when (exception is HttpRequestException or OperationCanceledException && !ct.IsCancellationRequested)
        {
            return 0;
        }
    }

    T Dice<T>(Func<Random, T> throwIt)
    {
        lock (_lock)
            return throwIt(_random);
    }

    void Dice(Action<Random> throwIt)
    {
        lock (_lock)
            throwIt(_random);
    }

    /// <summary>Stops sending; what is under way is left.</summary>
    public async ValueTask DisposeAsync()
    {
        _account.OnEvent = _ => { };
        _queue.Writer.TryComplete();
        await _stopping.CancelAsync();
        await _pump;
        _http.Dispose();
    }

    sealed record Message(WebhookEndpoint Endpoint, byte[] Body);
}

/// <summary>What is posted to an endpoint.</summary>
/// <param name="Body">The bytes.</param>
/// <param name="Header">Their <c>Stripe-Signature</c>.</param>
public sealed record SignedEvent(byte[] Body, string Header)
{
    /// <summary>The body as text.</summary>
    public string Text => Encoding.UTF8.GetString(Body);
}
