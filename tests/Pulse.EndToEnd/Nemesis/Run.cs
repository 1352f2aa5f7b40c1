using System.Diagnostics;
using System.Globalization;
using System.Text;
using Npgsql;
using Pulse.Hosting;
using Pulse.Testing;
using Pulse.Worker.Invariants;

namespace Pulse.EndToEnd.Nemesis;

/// <summary>What a run must not end with.</summary>
enum Wrong
{
    /// <summary>Acknowledged, and not there.</summary>
    Lost,

    /// <summary>There more than once.</summary>
    Duplicated,

    /// <summary>Not ended, 60 s after the last restart.</summary>
    Stuck,

    /// <summary>Anything else: an answer that no outage explains, a dead letter, a broken invariant.</summary>
    Otherwise,
}

/// <summary>One finding of the reckoning.</summary>
sealed record Mistake(Wrong Kind, string What);

/// <summary>One run: signups, blows, quiet, and then the reckoning.</summary>
sealed class Run(int signups, int seed, int workers = 1, int ingresses = 1, int nodes = 1, IReadOnlyList<Blow>? planned = null)
{
    static readonly TimeSpan QuietWithin = TimeSpan.FromSeconds(60);
    const int Callers = 8;

    readonly List<Mistake> _mistakes = [];
    readonly string _events = Path.Combine(Child.Logs, "events.log");
    readonly Stopwatch _clock = Stopwatch.StartNew();

    public int Seed => seed;

    /// <summary>What went wrong; nothing in a run that proves the promise.</summary>
    public IReadOnlyList<Mistake> Mistakes => _mistakes;

    /// <summary>What happened, for docs/guarantees.md.</summary>
    public string Table { get; private set; } = "";

    public async Task GoAsync()
    {
        File.Delete(_events);
        var random = new Random(seed);
        await using var platform = new Platform(workers, ingresses, nodes);
        await platform.StartAsync();
        if (nodes > 1 && await platform.MembersAsync("provisioning") is var members && members != nodes)
            Mistaken(Wrong.Otherwise, $"{members} of {nodes} brokers have the queue, so this run proves nothing.");
        var wishes = SignupClient.Plan(signups, random);
        var blows = planned ?? Blow.Plan(signups, platform, random);
        using var client = new SignupClient(() => platform.Ingresses, seed);
        using var stop = new CancellationTokenSource();

        // Each blow has its share of the signups, and falls somewhere in it; the next share is not begun before, so that there is
        // always something under way when it does.
        var share = (double)signups / (blows.Count + 1);
        var released = 0.0;
        var gate = new SemaphoreSlim(0);
        Release(share);
        var next = -1;
        var calling = Task.WhenAll(Enumerable.Range(0, Callers).Select(_ => CallAsync()));
        try
        {
            foreach (var (index, blow) in blows.Index())
            {
                if (blow.WaitsForReady)
                    await platform.ReadyAsync();
                var from = (index + Math.Min(blow.Hurry, 0.9)) * share;
                await Eventually.Until(() => client.Acknowledged >= from || calling.IsFaulted, TimeSpan.FromSeconds(90), $"signups went on before {blow}");
                Tell(blow.ToString());
                if (blow.Kills.Count > 0)
                    await platform.KillAsync(blow.Kills);
                else
                    platform.Proxy(blow.Server).Fault = blow.Fault;
                Release(share);
                if (blow.Lasts == Timeout.InfiniteTimeSpan)
                    continue;
                await Task.Delay(blow.Lasts);
                if (blow.Kills.Count > 0)
                    await platform.RestartAsync(blow.Kills);
                else
                    platform.Proxy(blow.Server).Fault = Fault.None;
            }

            Release(signups);
            var lastRestart = _clock.Elapsed;
            Tell("the last blow is over");
            await platform.ReadyAsync();
            await calling.WaitAsync(QuietWithin);
            var report = await QuietAsync(platform, lastRestart);
            var quietAfter = _clock.Elapsed - lastRestart;
            var stored = await ReckonAsync(platform, wishes, report, client);
            Table = Tabulate(blows, wishes, client, report, quietAfter, stored.Values.Select(signup => signup.Took).DefaultIfEmpty().Max());
        }
        finally
        {
            await stop.CancelAsync();
            await calling.ContinueWith(_ => { }, TaskScheduler.Default);
        }

        void Release(double more)
        {
            var before = (int)Math.Min(signups, released);
            released += more;
            var count = (int)Math.Min(signups, released) - before;
            if (count > 0)
                gate.Release(count);
            if (released >= signups)
                gate.Release(Callers);
        }

        async Task CallAsync()
        {
            while (true)
            {
                await gate.WaitAsync(stop.Token);
                var mine = Interlocked.Increment(ref next);
                if (mine >= wishes.Count)
                    return;
                await client.WantAsync(wishes[mine], stop.Token);
            }
        }
    }

    // At once, so that a long run can be watched.
    void Tell(string what) => File.AppendAllText(
        _events, string.Create(CultureInfo.InvariantCulture, $"{DateTime.UtcNow:HH:mm:ss.fff} {_clock.Elapsed.TotalSeconds,7:0.0} s  {what}\n"));

    /// <summary>Waits until the doctor finds nothing under way and nothing wrong.</summary>
    async Task<DoctorReport> QuietAsync(Platform platform, TimeSpan lastRestart)
    {
        while (true)
        {
            var report = await platform.ExamineAsync();
            var quiet = report.Healthy && report.OutboxDue == 0 && report.Queues.All(queue => queue.Value == 0)
                && await platform.Servers.AskAsync<long>(UntoldSql) == 0;
            if (quiet || _clock.Elapsed - lastRestart > QuietWithin)
            {
                Tell(quiet ? "quiet" : "not quiet");
                if (!quiet)
                    Mistaken(Wrong.Stuck, $"Not quiet {QuietWithin.TotalSeconds} s after the last restart:\n{report.ToTable()}");
                return report;
            }

            await Task.Delay(250);
        }
    }

    // What is published has to arrive, too: a consumer that is done with an event has a row for it.
    const string UntoldSql = """
        select (select count(*) from pulse.signups where status = 'provisioned') - (select count(*) from messaging.inbox where consumer_id = 'metrics')
        """;

    void Mistaken(Wrong kind, string what) => _mistakes.Add(new Mistake(kind, what));

    async Task<Dictionary<Guid, Stored>> ReckonAsync(Platform platform, List<Wish> wishes, DoctorReport report, SignupClient client)
    {
        foreach (var answer in client.Unexpected.Distinct())
            Mistaken(Wrong.Otherwise, $"An answer that no outage explains: {answer}");
        foreach (var queue in report.Queues.Where(queue => queue.Key.EndsWith("_error", StringComparison.Ordinal) && queue.Value > 0))
            Mistaken(Wrong.Otherwise, $"{queue.Value} dead letters in {queue.Key}");
        if (await platform.Servers.AskAsync<long>("select count(*) from pulse.dead_letters") is var letters && letters > 0)
            Mistaken(Wrong.Otherwise, $"{letters} dead letters were collected");

        var stored = await StoredAsync(platform);
        foreach (var wish in wishes)
        {
            if (wish.Answers.Distinct().ToList() is not [var id])
                Mistaken(Wrong.Duplicated, $"Wish {wish.Number} was answered with {wish.Answers.Distinct().Count()} ids.");
            else if (!stored.TryGetValue(id, out var signup))
                Mistaken(Wrong.Lost, $"Signup {id} was acknowledged and is not there.");
            else if (signup.Status == "provisioned" && (signup.OrgName != wish.Body.OrgName || signup.OwnerEmail != wish.Body.Email))
                Mistaken(Wrong.Otherwise, $"Signup {id} was provisioned as something else than was asked for.");
            else if (signup.Status is not ("provisioned" or "existing"))
                Mistaken(Wrong.Stuck, $"Signup {id} has not ended: {signup.Status}.");
        }

        if (stored.Count != wishes.Count)
            Mistaken(stored.Count < wishes.Count ? Wrong.Lost : Wrong.Duplicated, $"{wishes.Count} keys made {stored.Count} signups.");
        var emails = wishes.GroupBy(wish => wish.Body.Email).ToList();
        foreach (var email in emails)
        {
            var tenants = email.Count(wish => wish.Answers.TryPeek(out var id) && stored.TryGetValue(id, out var signup) && signup.Status == "provisioned");
            if (tenants != 1)
            {
                Mistaken(tenants == 0 ? Wrong.Lost : Wrong.Duplicated,
                    $"An email with {email.Count()} signups ({string.Join(", ", email.Select(wish => wish.Number))}) has {tenants} tenants.");
            }
        }

        var organizations = await platform.Servers.AskAsync<long>("select count(*) from pulse.organizations where not is_default");
        if (organizations != emails.Count)
            Mistaken(organizations < emails.Count ? Wrong.Lost : Wrong.Duplicated, $"{emails.Count} emails made {organizations} organizations.");
        var untold = await platform.Servers.AskAsync<long>(UntoldSql);
        if (untold != 0)
            Mistaken(untold > 0 ? Wrong.Lost : Wrong.Duplicated, $"{untold} more tenants than TenantProvisioned that were consumed.");
        return stored;
    }

    sealed record Stored(string Status, TimeSpan Took, string? OrgName, string? OwnerEmail);

    const string StoredSql = """
        select s.signup_id, s.status, s.updated_at - s.accepted_at, o.name, u.email from pulse.signups s
        left join pulse.organizations o using (org_id)
        left join pulse.memberships m on m.org_id = o.org_id and m.role = 'owner'
        left join pulse.users u using (user_id)
        """;

    static async Task<Dictionary<Guid, Stored>> StoredAsync(Platform platform)
    {
        await using var dataSource = NpgsqlDataSource.Create(PostgresAddress.Parse(platform.Servers.Postgres));
        await using var command = dataSource.CreateCommand(StoredSql);
        await using var row = await command.ExecuteReaderAsync();
        var stored = new Dictionary<Guid, Stored>();
        while (await row.ReadAsync())
        {
            stored[row.GetGuid(0)] = new Stored(
                row.GetString(1), row.GetTimeSpan(2), row.IsDBNull(3) ? null : row.GetString(3), row.IsDBNull(4) ? null : row.GetString(4));
        }

        return stored;
    }

    string Tabulate(
        IReadOnlyList<Blow> blows, List<Wish> wishes, SignupClient client, DoctorReport report, TimeSpan quietAfter, TimeSpan longest)
    {
        var table = new StringBuilder();
        Row("", "");
        table.Append("| --- | --- |\n");
        Row("seed", seed);
        Row("signups, all acknowledged", string.Create(CultureInfo.InvariantCulture,
            $"{wishes.Count}, of {wishes.Select(wish => wish.Body.Email).Distinct().Count()} emails, in {client.Tries} tries"));
        Row("workers, ingresses", $"{workers}, {ingresses}");
        foreach (var kind in new[] { Platform.Worker, Platform.Ingress, Platform.Broker, Platform.Postgres })
            Row($"kill -9 {kind}", blows.Sum(blow => blow.Kills.Count(name => name.StartsWith(kind, StringComparison.Ordinal))));
        Row("of these several at once", blows.Where(blow => blow.Kills.Count > 1).Sum(blow => blow.Kills.Count));
        foreach (var fault in blows.Where(blow => blow.Kills.Count == 0).GroupBy(blow => blow.Fault).OrderBy(group => group.Key))
            Row($"network: {fault.Key}", fault.Count());
        Row("duration", string.Create(CultureInfo.InvariantCulture, $"{_clock.Elapsed.TotalSeconds:0} s"));
        Row("longest wait for a 202, tries and all", Seconds(client.LongestWait));
        Row("longest wait from the 202 to the end", Seconds(longest));
        Row("quiet after the last restart", Seconds(quietAfter));
        Row("lost", _mistakes.Count(mistake => mistake.Kind == Wrong.Lost));
        Row("duplicated", _mistakes.Count(mistake => mistake.Kind == Wrong.Duplicated));
        Row("stuck", _mistakes.Count(mistake => mistake.Kind == Wrong.Stuck));
        Row("otherwise wrong", _mistakes.Count(mistake => mistake.Kind == Wrong.Otherwise));
        Row("invariants broken", $"{report.Invariants.Count(invariant => invariant.Violations > 0)} of {report.Invariants.Count}");
        return table.ToString();

        void Row(string name, object value) => table.Append(CultureInfo.InvariantCulture, $"| {name} | {value} |\n");

        static string Seconds(TimeSpan time) => string.Create(CultureInfo.InvariantCulture, $"{time.TotalSeconds:0.0} s");
    }
}
