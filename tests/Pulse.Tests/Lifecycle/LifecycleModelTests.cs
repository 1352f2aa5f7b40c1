using System.Collections.Concurrent;
using System.Diagnostics;
using System.Text.Json;
using FsCheck;
using FsCheck.Fluent;
using Pulse.Tests.Billing;
using Pulse.Worker.Lifecycle;
using Xunit.Abstractions;

namespace Pulse.Tests.Lifecycle;

/// <summary>
/// Random lives: commands, timers, sweeps, payments, duplicates and deaths in any order, on a real Postgres, each step held against
/// <see cref="LifecycleModel"/>. Never purged under hold, early, or after a restore; never restored once the purge has begun.
/// </summary>
/// <remarks>
/// PULSE_TEST_LONG=1 lives 10 000 of them, or PULSE_TEST_SEQUENCES; otherwise few. PULSE_TEST_SEED lives the same ones again.
/// </remarks>
public sealed class LifecycleModelTests(ITestOutputHelper output)
{
    static readonly bool Long = Environment.GetEnvironmentVariable("PULSE_TEST_LONG") == "1";
    static readonly ulong Seed = ulong.TryParse(Environment.GetEnvironmentVariable("PULSE_TEST_SEED"), out var seed) ? seed : (ulong)Random.Shared.Next();
    static readonly int Count = int.TryParse(Environment.GetEnvironmentVariable("PULSE_TEST_SEQUENCES"), out var given) ? given : Long ? 10_000 : 250;

    [Fact]
    public async Task Any_life_is_as_the_model_says_and_nothing_is_purged_early_or_held_or_restored_and_nothing_restored_that_is_being_purged()
    {
        var since = Stopwatch.GetTimestamp();
        var (wrong, ends) = await LiveAsync(Count, lanes: 4, options => options);
        output.WriteLine($"{Count} lives: {string.Join(", ", ends.OrderBy(end => end.Key).Select(end => $"{end.Value} {end.Key}"))}; {wrong.Count} wrong, seed {Seed}, {Stopwatch.GetElapsedTime(since).TotalSeconds:0} s");
        Assert.Empty(wrong);
        // Otherwise it shows nothing.
        foreach (var end in (string[])["active", "suspended", "pending_deletion", "purged", "died before a commit", "died after a commit"])
            Assert.True(ends.GetValueOrDefault(end) > 0, end);
    }

    [Fact]
    public async Task Without_the_second_look_under_the_lock_lives_go_wrong() =>
        Assert.Contains((await LiveAsync(150, lanes: 2, options => options with { LooksAgain = false })).Wrong, BeganWrongly);

    [Fact]
    public async Task Without_the_question_for_a_hold_lives_go_wrong() =>
        Assert.Contains((await LiveAsync(150, lanes: 2, options => options with { HonoursHolds = false })).Wrong, BeganWrongly);

    // And not for something else: it is seen, or the database's backstop has to stop it.
    static bool BeganWrongly(string wrong) => wrong.Contains("it is purging, and should be pending_deletion", StringComparison.Ordinal)
        || wrong.Contains("is under legal hold", StringComparison.Ordinal);

    internal enum What { Suspend, Unsuspend, SoftDelete, Restore, Hold, Release, Pay, Lapse, Sweep, Hours, Days, Deliver, DeliverLast, Duplicate, DieBefore, DieAfter, Drain }

    internal sealed record Step(What What, int Number)
    {
        public override string ToString() => $"{What}({Number})";
    }

    static Gen<Step[]> Lives =>
        from length in Gen.Choose(6, 40)
        from steps in Gen.ArrayOf(
            from what in Gen.Frequency(
                (2, Gen.Elements(What.Suspend, What.Unsuspend)),
                (5, Gen.Constant(What.SoftDelete)),
                (3, Gen.Constant(What.Restore)),
                (2, Gen.Elements(What.Hold, What.Release)),
                (1, Gen.Elements(What.Pay, What.Lapse)),
                (2, Gen.Constant(What.Sweep)),
                (5, Gen.Elements(What.Hours, What.Days)),
                (10, Gen.Elements(What.Deliver, What.DeliverLast)),
                (4, Gen.Elements(What.Duplicate, What.DieBefore, What.DieAfter)),
                (1, Gen.Constant(What.Drain)))
            from number in Gen.Choose(1, 4)
            select new Step(what, number), length)
        select steps;

    // What a purge looks through grows with the lives before it.
    const int LivesOfADatabase = 250;

    static async Task<(ConcurrentBag<string> Wrong, ConcurrentDictionary<string, int> Ends)> LiveAsync(int count, int lanes, Func<ReaperOptions, ReaperOptions> change)
    {
        var wrong = new ConcurrentBag<string>();
        var ends = new ConcurrentDictionary<string, int>();
        var lives = new ConcurrentQueue<Step[]>(Lives.Sample(count, new Rnd(Seed), 50));
        await Task.WhenAll(Enumerable.Range(0, lanes).Select(_ => Task.Run(async () =>
        {
            while (wrong.Count < 5 && !lives.IsEmpty)
                await LiveInOneDatabaseAsync(lives, wrong, ends, change);
        })));
        return (wrong, ends);
    }

    static async Task LiveInOneDatabaseAsync(
        ConcurrentQueue<Step[]> lives, ConcurrentBag<string> wrong, ConcurrentDictionary<string, int> ends, Func<ReaperOptions, ReaperOptions> change)
    {
        // A database for each lane, so that what is due is the one life's own.
        var bed = new LifecycleBed();
        await bed.InitializeAsync();
        try
        {
            await using var worker = bed.Worker(change(bed.Options));
            var purged = new List<Guid>();
            for (var lived = 0; lived < LivesOfADatabase && wrong.Count < 5 && lives.TryDequeue(out var life); lived++)
            {
                worker.Moves.Clear();
                var one = new Life(bed, worker, ends);
                if (await one.LiveAsync(life) is { } failure)
                    wrong.Add($"{failure}\n  {string.Join(' ', life.AsEnumerable())}");
                else if (one.IsPurged)
                    purged.Add(one.Org);
            }

            if (await bed.Billing.AskAsync<long>("select count(*) from pulse.residue($1, '{}')", purged.ToArray()) is > 0 and var left)
                wrong.Add($"{left} rows are left of {purged.Count} that were purged");
        }
        finally
        {
            await bed.DisposeAsync();
        }
    }

    /// <summary>One organization, from its signup to wherever the steps lead.</summary>
    sealed class Life(LifecycleBed bed, LifecycleWorker worker, ConcurrentDictionary<string, int> ends)
    {
        readonly LifecycleModel _model = new();
        readonly Dictionary<Guid, (string Verb, int Days)> _asked = [];
        readonly HashSet<Guid> _consumed = [];
        Guid _org;
        string? _customer;
        string? _wrong;

        public Guid Org => _org;

        public bool IsPurged => _model.IsPurged;

        public async Task<string?> LiveAsync(Step[] steps)
        {
            await bed.Billing.RunSqlAsync("delete from messaging.outbox");
            _org = await bed.TenantAsync();
            if (steps[0].Number == 1)
                await SubscribeAsync();
            try
            {
                foreach (var step in steps)
                {
                    await DoAsync(step);
                    if (_wrong is not null || await DifferenceAsync() is { } difference && (_wrong = $"after {step}: {difference}") is not null)
                        return _wrong;
                }

                await SettleAsync();
                return _wrong ?? await DifferenceAsync()
                    ?? (worker.Moves.Order().SequenceEqual(_model.Moves.Order()) ? null : $"counted {string.Join(' ', worker.Moves)}, and should have {string.Join(' ', _model.Moves)}");
            }
            catch (Exception exception) when (exception is not OutOfMemoryException)
            {
                return $"{exception.GetType().Name}: {exception.Message}";
            }
            finally
            {
                Count(_model.Status == "purging" ? "purging" : _model.Status);
            }
        }

        async Task SubscribeAsync()
        {
            _customer = bed.Billing.Stripe.Account.CreateCustomer(orgId: _org.ToString()).Id;
            bed.Billing.Stripe.Account.Subscribe(_customer, "price_basic", orgId: _org.ToString());
            await FollowAsync();
        }

        // What the webhook would bring.
        async Task FollowAsync()
        {
            var billing = bed.Billing.Worker();
            await billing.DeliverAsync(bed.Billing.EventsOf(_customer!)[^1]);
            while (billing.Next() is { } customer)
                await billing.SyncAsync(customer);
        }

        async Task DoAsync(Step step)
        {
            switch (step.What)
            {
                case What.Suspend: await AskAsync("suspend", step.Number); break;
                case What.Unsuspend: await AskAsync("unsuspend", step.Number); break;
                case What.SoftDelete: await AskAsync("soft-delete", step.Number, $$"""{"retention_days":{{step.Number}},"export":{{(step.Number == 4 ? "true" : "false")}}}"""); break;
                case What.Restore: await AskAsync("restore", step.Number); break;
                case What.Hold: await AskAsync("hold", step.Number, """{"reason":"a court asks"}"""); break;
                case What.Release: await AskAsync("release", step.Number); break;
                case What.Pay or What.Lapse when _customer is not null && !_model.IsGone: await BillAsync(step.What); break;
                case What.Sweep: await worker.SweepAsync(); break;
                case What.Hours: bed.Clock.Advance(TimeSpan.FromHours(7 * step.Number)); break;
                case What.Days: bed.Clock.Advance(TimeSpan.FromDays(step.Number)); break;
                case What.Drain: await DrainAsync(); break;
                default:
                    if (await worker.WaitingAsync() is { Count: > 0 } waiting)
                        await DeliverAsync(step.What == What.DeliverLast ? waiting[^1] : waiting[step.Number % waiting.Count], step.What);
                    break;
            }
        }

        async Task AskAsync(string verb, int days, string request = "{}") => _asked[await bed.AskAsync(verb, _org, request)] = (verb, days);

        // Nothing of it may touch the lifecycle: scenario 12.
        async Task BillAsync(What what)
        {
            var account = bed.Billing.Stripe.Account;
            if (account.SubscriptionsOf(_customer!) is not [.., { Status: "active" or "past_due" } subscription])
                return;
            if (what == What.Pay && subscription.Status == "past_due")
                account.Pay(subscription.Id);
            else if (what == What.Lapse && subscription.Status == "active")
                account.FailPayment(subscription.Id);
            else
                return;
            await FollowAsync();
        }

        async Task DeliverAsync(Waiting message, What how)
        {
            switch (how)
            {
                case What.DieBefore:
                    await worker.DeliverAsync(message, Fate.DiesBeforeCommit);
                    Count("died before a commit");
                    return;
                case What.DieAfter:
                    Learn(message, await worker.DeliverAsync(message, Fate.DiesAfterCommit));
                    Count("died after a commit");
                    break;
                case What.Duplicate:
                    Learn(message, await worker.DeliverAsync(message, Fate.DiesAfterCommit));
                    if (await worker.DeliverAsync(message))
                        _wrong ??= $"{message.Exchange} was consumed twice";
                    break;
                default:
                    Learn(message, await worker.DeliverAsync(message));
                    break;
            }

            await AnswersAsync(message);
        }

        // What the model makes of a message that has just taken effect.
        void Learn(Waiting message, bool first)
        {
            if (first != _consumed.Add(message.MessageId))
                _wrong ??= $"{message.Exchange}: consumed {(first ? "twice" : "never")}";
            if (!first)
                return;

            var said = JsonDocument.Parse(message.Body).RootElement.GetProperty("message");
            switch (message.Exchange.Split(':')[1])
            {
                case "RetentionEnded":
                    _model.Timer(said.GetProperty("deletionId").GetGuid(), bed.Clock.GetUtcNow());
                    break;
                case "ExportOrganization":
                    _model.Step("organization_exported");
                    break;
                case "TenantDeprovisioned":
                    _model.Step("tenant_deprovisioned");
                    break;
            }
        }

        async Task AnswersAsync(Waiting message)
        {
            var said = JsonDocument.Parse(message.Body).RootElement.GetProperty("message");
            if (said.TryGetProperty("operationId", out var id) && _asked.Remove(id.GetGuid(), out var asked))
            {
                var expected = _model.Command(asked.Verb, id.GetGuid(), asked.Days, bed.Clock.GetUtcNow());
                if (await bed.EndAsync(id.GetGuid()) is var end && end != expected)
                    _wrong ??= $"{asked.Verb} ended as {end}, not {expected}";
            }

            // When rows and certificate come, billing and other purges have a say in: the model takes them as they are told, once, and in their order.
            foreach (var action in (await bed.AuditAsync(_org)).Where(action => action is "organization_rows_deleted" or "organization_purged"))
                _model.Step(action);
        }

        async Task DrainAsync()
        {
            for (var round = 0; round < 100 && await worker.WaitingAsync() is { Count: > 0 } waiting; round++)
            {
                foreach (var message in waiting)
                    await DeliverAsync(message, What.Deliver);
            }
        }

        async Task SettleAsync()
        {
            await DrainAsync();
            // Longer than any retention, and than any wait.
            for (var i = 0; i < 4 && _wrong is null; i++)
            {
                bed.Clock.Advance(TimeSpan.FromDays(2));
                await worker.SweepAsync();
                await DrainAsync();
            }

            if (_model.WillBePurged != _model.IsPurged)
                _wrong ??= $"it is {_model.Status} in the end, under hold: {_model.IsHeld}";
        }

        async Task<string?> DifferenceAsync()
        {
            if (await bed.StatusAsync(_org) is var status && status != _model.Status)
                return $"it is {status}, and should be {_model.Status}";
            if (await bed.AuditAsync(_org) is var audit && !audit.SequenceEqual(_model.Audit))
                return $"audited {string.Join(' ', audit)}, and should be {string.Join(' ', _model.Audit)}";
            var told = worker.Moves.ToList();
            return told.Count <= _model.Moves.Count && told.Distinct().All(_model.Moves.Contains) ? null : $"told {string.Join(' ', told)}";
        }

        void Count(string what) => ends.AddOrUpdate(what, 1, (_, count) => count + 1);
    }
}
