using System.Diagnostics;
using System.Globalization;
using System.Text;
using Npgsql;
using Pulse.Hosting;
using Pulse.Testing;
using Pulse.Worker.Invariants;

namespace Pulse.EndToEnd.Nemesis;

/// <summary>One run: signups, blows, quiet, and then the reckoning.</summary>
sealed class Run(int signups, int seed, int workers = 1, int ingresses = 1, IReadOnlyList<Blow>? planned = null)
{
    static readonly TimeSpan QuietWithin = TimeSpan.FromSeconds(60);
    const int Callers = 8;

    readonly List<string> _mistakes = [];
    readonly StringBuilder _events = new();
    readonly Stopwatch _clock = Stopwatch.StartNew();

    public int Seed => seed;

    /// <summary>What went wrong; nothing in a run that proves the promise.</summary>
    public IReadOnlyList<string> Mistakes => _mistakes;

    /// <summary>What happened, for docs/guarantees.md.</summary>
    public string Table { get; private set; } = "";

    public async Task GoAsync()
    {
        var random = new Random(seed);
        await using var platform = new Platform(workers, ingresses);
        await platform.StartAsync();
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
            await ReckonAsync(platform, wishes, report, client);
            Table = Tabulate(blows, wishes, client, report, _clock.Elapsed - lastRestart);
        }
        finally
        {
            await stop.CancelAsync();
            await calling.ContinueWith(_ => { }, TaskScheduler.Default);
            await File.WriteAllTextAsync(Path.Combine(Child.Logs, "events.log"), _events.ToString());
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

    void Tell(string what)
    {
        lock (_events)
            _events.Append(CultureInfo.InvariantCulture, $"{DateTime.UtcNow:HH:mm:ss.fff} {_clock.Elapsed.TotalSeconds,7:0.0} s  {what}\n");
    }

    /// <summary>Waits until the doctor finds nothing under way and nothing wrong.</summary>
    async Task<DoctorReport> QuietAsync(Platform platform, TimeSpan lastRestart)
    {
        while (true)
        {
            var report = await platform.ExamineAsync();
            var quiet = report.Healthy && report.OutboxDue == 0 && report.Queues.All(queue => queue.Value == 0);
            if (quiet || _clock.Elapsed - lastRestart > QuietWithin)
            {
                Tell(quiet ? "quiet" : "not quiet");
                if (!quiet)
                    _mistakes.Add($"Not quiet {QuietWithin.TotalSeconds} s after the last restart:\n{report.ToTable()}");
                return report;
            }

            await Task.Delay(250);
        }
    }

    async Task ReckonAsync(Platform platform, List<Wish> wishes, DoctorReport report, SignupClient client)
    {
        _mistakes.AddRange(client.Unexpected.Distinct().Select(answer => $"An answer that no outage explains: {answer}"));
        _mistakes.AddRange(report.Queues.Where(queue => queue.Key.EndsWith("_error", StringComparison.Ordinal) && queue.Value > 0)
            .Select(queue => $"{queue.Value} dead letters in {queue.Key}"));

        var stored = await StoredAsync(platform);
        foreach (var wish in wishes)
        {
            if (wish.Answers.Distinct().ToList() is not [var id])
                _mistakes.Add($"Wish {wish.Number} was answered with {wish.Answers.Distinct().Count()} ids.");
            else if (!stored.TryGetValue(id, out var signup))
                _mistakes.Add($"Signup {id} was acknowledged and is lost.");
            else if (signup.Status == "provisioned" && (signup.OrgName != wish.Body.OrgName || signup.OwnerEmail != wish.Body.Email))
                _mistakes.Add($"Signup {id} was provisioned as something else than was asked for.");
            else if (signup.Status is not ("provisioned" or "existing"))
                _mistakes.Add($"Signup {id} has not ended: {signup.Status}.");
        }

        if (stored.Count != wishes.Count)
            _mistakes.Add($"{wishes.Count} keys made {stored.Count} signups.");
        foreach (var email in wishes.GroupBy(wish => wish.Body.Email))
        {
            var tenants = email.Count(wish => wish.Answers.TryPeek(out var id) && stored.TryGetValue(id, out var signup) && signup.Status == "provisioned");
            if (tenants != 1)
                _mistakes.Add($"An email with {email.Count()} signups ({string.Join(", ", email.Select(wish => wish.Number))}) has {tenants} tenants.");
        }

        var organizations = await platform.Servers.AskAsync<long>("select count(*) from pulse.organizations where not is_default");
        if (organizations != wishes.Select(wish => wish.Body.Email).Distinct().Count())
            _mistakes.Add($"{wishes.Select(wish => wish.Body.Email).Distinct().Count()} emails made {organizations} organizations.");
    }

    sealed record Stored(string Status, string? OrgName, string? OwnerEmail);

    const string StoredSql = """
        select s.signup_id, s.status, o.name, u.email from pulse.signups s
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
            stored[row.GetGuid(0)] = new Stored(row.GetString(1), row.IsDBNull(2) ? null : row.GetString(2), row.IsDBNull(3) ? null : row.GetString(3));
        return stored;
    }

    string Tabulate(IReadOnlyList<Blow> blows, List<Wish> wishes, SignupClient client, DoctorReport report, TimeSpan quietAfter)
    {
        var table = new StringBuilder();
        Row("", "");
        table.Append("| --- | --- |\n");
        Row("seed", seed);
        Row("workers, ingresses", $"{workers}, {ingresses}");
        Row("signups, acknowledged", $"{wishes.Count}, {wishes.Count(wish => !wish.Answers.IsEmpty)}");
        Row("tries, emails", $"{client.Tries}, {wishes.Select(wish => wish.Body.Email).Distinct().Count()}");
        foreach (var kind in new[] { Platform.Worker, Platform.Ingress, Platform.Broker, Platform.Postgres })
            Row($"kill -9 {kind}", blows.Sum(blow => blow.Kills.Count(name => name.StartsWith(kind, StringComparison.Ordinal))));
        Row("of these several at once", blows.Where(blow => blow.Kills.Count > 1).Sum(blow => blow.Kills.Count));
        foreach (var fault in blows.Where(blow => blow.Kills.Count == 0).GroupBy(blow => blow.Fault).OrderBy(group => group.Key))
            Row($"network: {fault.Key}", fault.Count());
        Row("duration", $"{_clock.Elapsed.TotalSeconds:0} s");
        Row("quiet after the last restart", $"{quietAfter.TotalSeconds:0.0} s");
        Row("lost", _mistakes.Count(mistake => mistake.Contains("lost", StringComparison.Ordinal)));
        Row("invariants broken", $"{report.Invariants.Count(invariant => invariant.Violations > 0)} of {report.Invariants.Count}");
        Row("mistakes", _mistakes.Count);
        return table.ToString();

        void Row(string name, object value) => table.Append(CultureInfo.InvariantCulture, $"| {name} | {value} |\n");
    }
}
