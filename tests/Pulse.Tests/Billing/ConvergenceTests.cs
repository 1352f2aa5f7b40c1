using System.Collections.Concurrent;
using System.Diagnostics;
using FsCheck;
using FsCheck.Fluent;
using Pulse.Catalog;
using Pulse.Worker.Billing;
using Xunit.Abstractions;

namespace Pulse.Tests.Billing;

/// <summary>
/// For any history of changes at Stripe, and any delivery of its events, once it is quiet Pulse's state is π of what Stripe says.
/// </summary>
/// <remarks>
/// PULSE_TEST_LONG=1 runs all of it, and says how long it took; otherwise a part that takes about a minute. PULSE_TEST_MINUTES ends the longest
/// of them early, and it says how far it came.
/// </remarks>
public sealed class ConvergenceTests(SyncBed bed, ITestOutputHelper output) : IClassFixture<SyncBed>
{
    static readonly bool Long = Environment.GetEnvironmentVariable("PULSE_TEST_LONG") == "1";
    static readonly TimeSpan Most = int.TryParse(Environment.GetEnvironmentVariable("PULSE_TEST_MINUTES"), out var minutes) ? TimeSpan.FromMinutes(minutes) : TimeSpan.FromHours(6);
    static readonly ParallelOptions Side_by_side = new() { MaxDegreeOfParallelism = 8 };

    [Fact]
    public async Task Any_history_in_any_order_with_duplicates_and_overlapping_fetches_ends_as_Stripe_is()
    {
        var (histories, orders) = Long ? (2000, 20) : (60, 4);
        await ExploreAsync(histories, orders, drops: false);
    }

    [Fact]
    public async Task With_events_dropped_one_reconciliation_ends_as_Stripe_is()
    {
        var (histories, orders) = Long ? (500, 4) : (40, 3);
        await ExploreAsync(histories, orders, drops: true);
    }

    async Task ExploreAsync(int histories, int orders, bool drops)
    {
        var since = Stopwatch.GetTimestamp();
        var reconciler = bed.Worker();
        // From here on Stripe's list of events is compared.
        await reconciler.ReconcileAsync();

        var runs = new ConcurrentBag<(Schedule Schedule, Change[] History)>();
        var wrong = new ConcurrentBag<string>();
        var (all, explored) = (Histories.Any.Sample(histories, 50).ToList(), 0);
        foreach (var some in all.Index().Chunk(10).TakeWhile(_ => Stopwatch.GetElapsedTime(since) < Most))
        {
            var generated = some.SelectMany(history => Enumerable.Range(0, orders).Select(order => (history.Item, Seed: (history.Index * 1000) + order)));
            await Parallel.ForEachAsync(generated, Side_by_side, async (run, _) =>
            {
                var schedule = await Schedule.BeginAsync(bed, run.Seed, drops);
                await schedule.RunAsync(run.Item);
                if (drops)
                    runs.Add((schedule, run.Item));
                else if (await schedule.Worker.DivergenceAsync(schedule.Customer, schedule.Org) is { } divergence)
                    wrong.Add($"{string.Join(' ', run.Item)} (seed {run.Seed}): {divergence}");
            });
            explored += some.Length;
            // What the double remembers, it looks through.
            if (!drops)
                bed.Stripe.Account.Clear();
        }

        var before = 0;
        if (drops)
        {
            foreach (var (schedule, _) in runs)
                before += await schedule.Worker.DivergenceAsync(schedule.Customer, schedule.Org) is null ? 0 : 1;
            bed.Clock.Advance(TimeSpan.FromMinutes(6));
            await reconciler.ReconcileAsync();
            foreach (var (schedule, history) in runs)
            {
                if (await schedule.Worker.DivergenceAsync(schedule.Customer, schedule.Org) is { } divergence)
                    wrong.Add($"{string.Join(' ', history)}: {divergence}");
            }

            // Otherwise nothing that matters was dropped, and this shows nothing.
            Assert.True(before > 0);
        }

        output.WriteLine($"{explored} histories × {orders} orders: {wrong.Count} divergent{(drops ? $" ({before} before the reconciliation)" : "")}, {Stopwatch.GetElapsedTime(since).TotalSeconds:0} s");
        Assert.Empty(wrong);
    }

    [Fact]
    public async Task Every_order_of_seven_events_ends_in_one_state()
    {
        var since = Stopwatch.GetTimestamp();
        var orders = Permutations([0, 1, 2, 3, 4, 5, 6]).Where((_, at) => Long || at % 42 == 0).ToList();
        var states = new ConcurrentDictionary<string, int>();
        await Parallel.ForEachAsync(orders, Side_by_side, async (order, _) =>
        {
            var customer = bed.Stripe.Account.CreateCustomer().Id;
            var org = await bed.OrgAsync();
            var worker = bed.Worker(new TestClock());
            var events = new List<State.Happened>();
            foreach (var at in order)
            {
                // Stripe is as far as the event that comes, and no further than it has to be.
                while (events.Count <= at)
                    events.Add(Do(events.Count, customer, org));
                await worker.DeliverAsync(events[at]);
                if (worker.Next() is { } message)
                    await worker.SyncAsync(message);
            }

            await worker.DrainAsync();
            var state = await worker.DivergenceAsync(customer, org) ?? await bed.AskAsync<string>(
                "select concat_ws(' ', subscription_state, plan_version, timeline #>> '{0,source}', jsonb_array_length(timeline)) from pulse.billing_states where org_id = $1", org);
            states.AddOrUpdate(state!, 1, (_, count) => count + 1);
        });

        output.WriteLine($"{orders.Count} orders: {string.Join(", ", states.Select(state => $"{state.Value} × {state.Key}"))}, {Stopwatch.GetElapsedTime(since).TotalSeconds:0} s");
        Assert.StartsWith("expired", Assert.Single(states).Key, StringComparison.Ordinal);

        State.Happened Do(int step, string customer, Guid org)
        {
            var account = bed.Stripe.Account;
            string Id() => account.SubscriptionsOf(customer)[0].Id;
            switch (step)
            {
                case 0: account.Subscribe(customer, "price_basic", "trialing", orgId: org.ToString()); break;
                case 1: account.SayTrialWillEnd(Id()); break;
                case 2: account.EndTrial(Id()); break;
                case 3: account.FailPayment(Id()); break;
                case 4: account.UpdateSubscription(Id(), new Dictionary<string, string> { ["note"] = "x" }); break;
                case 5: account.Pay(Id()); break;
                default: account.Cancel(Id()); break;
            }

            return bed.EventsOf(customer)[^1];
        }
    }

    [Fact]
    public async Task Two_workers_with_slow_answers_and_short_leases_leave_no_customer_wrong()
    {
        Assert.Equal(0, await RaceAsync(fenced: true, customers: 300));
    }

    [Fact]
    public async Task Without_the_fence_the_same_race_leaves_customers_wrong()
    {
        Assert.NotEqual(0, await RaceAsync(fenced: false, customers: 300));
    }

    // Real time: answers take 0 to 50 ms and say what was when they were asked, events are 5 ms apart, and a lease is so short that fetches
    // of one customer overlap all the time: only the fence is left.
    async Task<int> RaceAsync(bool fenced, int customers)
    {
        var account = bed.Stripe.Account;
        var options = new SyncOptions { Lease = TimeSpan.FromMilliseconds(1), Settle = TimeSpan.Zero, Fenced = fenced };
        var superseded = 0;
        SyncWorker[] workers = [SlowWorker(), SlowWorker()];
        var all = new ConcurrentBag<(string Customer, Guid Org)>();
        await Parallel.ForEachAsync(Enumerable.Range(0, customers), new ParallelOptions { MaxDegreeOfParallelism = 2 }, async (number, _) =>
        {
            var customer = account.CreateCustomer().Id;
            var org = await bed.OrgAsync();
            all.Add((customer, org));
            var subscription = account.Subscribe(customer, "price_basic", orgId: org.ToString()).Id;
            var tasks = new List<Task> { ConsumeAsync(workers[0], customer, bed.EventsOf(customer)[^1]) };
            for (var change = 0; change < 9; change++)
            {
                await Task.Delay(5, CancellationToken.None);
                account.ChangePrice(subscription, change % 2 == 0 ? "price_pro" : "price_basic");
                tasks.Add(ConsumeAsync(workers[change % 2], customer, bed.EventsOf(customer)[^1]));
            }

            await Task.WhenAll(tasks);
        });

        var wrong = 0;
        foreach (var (customer, org) in all)
            wrong += await workers[0].DivergenceAsync(customer, org) is null ? 0 : 1;
        output.WriteLine($"{(fenced ? "fenced" : "without the fence")}: {wrong} of {customers} customers wrong, {superseded} fetches overtaken");
        return wrong;

        SyncWorker SlowWorker() => new(
            bed, new SlowAnswers { InnerHandler = new SocketsHttpHandler() }, TimeProvider.System, options, SyncBed.Plans, bed.Account());

        // A message, and the timers that come of it, each when it is due.
        async Task ConsumeAsync(SyncWorker worker, string customer, State.Happened happened)
        {
            var outcome = await worker.DeliverUnqueuedAsync(happened);
            var message = outcome.CustomerId;
            while (message is not null)
            {
                var synced = await worker.InTransactionAsync(open => worker.Sync.RunAsync(customer, open, CancellationToken.None));
                if (synced.End is SyncEnd.Superseded)
                    Interlocked.Increment(ref superseded);
                if (synced.Timer is not { } dueAt)
                    return;

                var wait = dueAt - worker.Clock.GetUtcNow();
                if (wait > TimeSpan.Zero)
                    await Task.Delay(wait);
            }
        }
    }

    static IEnumerable<int[]> Permutations(int[] of) =>
        of.Length <= 1 ? [of] : of.SelectMany(first => Permutations([.. of.Where(other => other != first)]).Select(rest => (int[])[first, .. rest]));
}

/// <summary>What a customer has subscribed to is said as it was when it was asked, and up to 50 ms later.</summary>
internal sealed class SlowAnswers : DelegatingHandler
{
    protected override async Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
    {
        var answer = await base.SendAsync(request, cancellationToken);
        if (request.RequestUri!.AbsolutePath == "/v1/subscriptions")
            await Task.Delay(Random.Shared.Next(50), cancellationToken);
        return answer;
    }
}

/// <summary>One order in which one customer's history happens, its events are delivered and its fetches overlap: a shuffle by a seed.</summary>
internal sealed class Schedule
{
    readonly SyncBed _bed;
    readonly Random _random;
    readonly bool _drops;
    readonly TestClock _clock = new();
    readonly List<Held> _held = [];
    readonly AsyncLocal<Held?> _current = new();

    Schedule(SyncBed bed, int seed, bool drops)
    {
        _bed = bed;
        _random = new Random(seed);
        _drops = drops;
        Worker = bed.Worker(_clock, new SyncOptions { AtPoint = point => point == "sync: after fetch" && _current.Value is { } held ? held.ReachAsync() : Task.CompletedTask });
    }

    public SyncWorker Worker { get; }
    public string Customer { get; private set; } = "";
    public Guid Org { get; private set; }

    public static async Task<Schedule> BeginAsync(SyncBed bed, int seed, bool drops)
    {
        var schedule = new Schedule(bed, seed, drops) { Org = await bed.OrgAsync() };
        schedule.Customer = bed.Stripe.Account.CreateCustomer(orgId: seed % 2 == 0 ? schedule.Org.ToString() : null).Id;
        return schedule;
    }

    public async Task RunAsync(Change[] history)
    {
        var changes = new Queue<Change>(history);
        var delivered = new HashSet<string>();
        var known = _bed.EventsOf(Customer);
        while (true)
        {
            var left = known.Where(happened => !delivered.Contains(happened.Id)).ToList();
            switch (_random.Next(10))
            {
                case 0 or 1 or 2 when changes.Count > 0:
                    Histories.Happen(_bed.Stripe.Account, Customer, Org, changes.Dequeue(), _bed.Clock);
                    known = _bed.EventsOf(Customer);
                    break;
                case 3 or 4 or 5 when left.Count > 0:
                    var happened = left[_random.Next(left.Count)];
                    delivered.Add(happened.Id);
                    if (!_drops || _random.Next(2) == 0)
                        await Worker.DeliverAsync(happened);
                    break;
                case 6 when delivered.Count > 0 && !_drops:
                    var again = delivered.ElementAt(_random.Next(delivered.Count));
                    await Worker.DeliverAsync(known.First(one => one.Id == again));
                    break;
                case 7 when Worker.Next() is { } message:
                    await StartAsync(message);
                    break;
                case 8 when _held.Count > 0:
                    await FinishAsync(_held[_random.Next(_held.Count)]);
                    break;
                case 9 when _random.Next(3) == 0:
                    // Leases end, timers come.
                    _clock.Advance(TimeSpan.FromSeconds(_random.Next(2) == 0 ? 1 : 31));
                    Worker.Fire();
                    break;
                default:
                    if (changes.Count == 0 && left.Count == 0 && _random.Next(4) == 0)
                    {
                        while (_held.Count > 0)
                            await FinishAsync(_held[_random.Next(_held.Count)]);
                        await Worker.DrainAsync();
                        return;
                    }

                    break;
            }
        }
    }

    /// <summary>Takes the message as far as the answer of its fetch, and holds it there.</summary>
    async Task StartAsync(string message)
    {
        var held = new Held();
        _current.Value = held;
        held.Sync = Worker.InTransactionAsync(open => Worker.Sync.RunAsync(message, open, CancellationToken.None));
        _current.Value = null;
        if (await Task.WhenAny(held.Sync, held.Reached) == held.Sync)
            Worker.Take(message, await held.Sync);
        else
            _held.Add(held);
    }

    async Task FinishAsync(Held held)
    {
        _held.Remove(held);
        held.LetGo();
        Worker.Take(Customer, await held.Sync);
    }

    sealed class Held
    {
        readonly TaskCompletionSource _reached = new(TaskCreationOptions.RunContinuationsAsynchronously);
        readonly TaskCompletionSource _go = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public Task Reached => _reached.Task;
        public Task<SyncOutcome> Sync { get; set; } = null!;

        public Task ReachAsync()
        {
            _reached.TrySetResult();
            return _go.Task;
        }

        public void LetGo() => _go.TrySetResult();
    }
}
