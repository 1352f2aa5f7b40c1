using System.Globalization;
using System.Text.Json;
using System.Text.RegularExpressions;
using Pulse.Contracts.DeadLetters;
using Pulse.Contracts.Signups;
using Pulse.EndToEnd.Nemesis;
using Pulse.Testing;
using Pulse.Worker.Invariants;
using RabbitMQ.Client;

namespace Pulse.EndToEnd.DeadLetters;

/// <summary>
/// A worker as a process of its own that tells which crash points it reaches and dies where it is told to. Its dead letters are signups that are not
/// there yet; mended, they are. Everything is put into its queues past the outbox, so that what the relay has is a replay's.
/// </summary>
public sealed partial class LetterPulse : IAsyncLifetime
{
    static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    static int _count;

    // Whoever shared the file would die the other's death.
    readonly string _name = $"letters-{Interlocked.Increment(ref _count)}";
    readonly TestPostgres _postgres = new();
    readonly TestBroker _broker = new();
    Child _worker = null!;
    IConnection _connection = null!;
    IChannel _channel = null!;

    string Points => Path.Combine(Child.Logs, $"{_name}-worker.points");

    public async Task InitializeAsync()
    {
        await _postgres.InitializeAsync();
        await _broker.InitializeAsync();
        File.Delete(Points);
        File.Delete($"{Points}.deadly");
        _worker = new Child($"{_name}-worker", "Pulse.Worker", "PULSE_WORKER_URL", new()
        {
            ["PULSE_POSTGRES"] = _postgres.WorkerAddress,
            ["PULSE_RABBITMQ"] = _broker.Address.ToString(),
            ["DOTNET_STARTUP_HOOKS"] = typeof(StartupHook).Assembly.Location,
            [StartupHook.Variable] = Points,
        });
        _worker.Start();
        await _worker.ReadyAsync();
        _connection = await new ConnectionFactory { Uri = _broker.Address }.CreateConnectionAsync();
        _channel = await _connection.CreateChannelAsync(new CreateChannelOptions(publisherConfirmationsEnabled: true, publisherConfirmationTrackingEnabled: true));
    }

    public async Task DisposeAsync()
    {
        await _worker.DisposeAsync();
        await _connection.DisposeAsync();
        await _broker.DisposeAsync();
        await _postgres.DisposeAsync();
    }

    /// <summary>The points that the worker has reached.</summary>
    public IReadOnlySet<string> Reached => File.ReadAllLines(Points).ToHashSet();

    /// <summary>The worker dies when it comes to a point for the next time, and is started again.</summary>
    public async Task DieAtAsync(string? point, Func<Task> meanwhile)
    {
        if (point is null)
        {
            await meanwhile();
            return;
        }

        await File.WriteAllTextAsync($"{Points}.deadly", point);
        try
        {
            await meanwhile();
            await _worker.DiedAsync();
        }
        finally
        {
            File.Delete($"{Points}.deadly");
        }

        _worker.Start();
        await _worker.ReadyAsync();
    }

    /// <summary>Messages that fail at once.</summary>
    public async Task<Guid[]> FailAsync(int count)
    {
        var signups = Enumerable.Range(0, count).Select(_ => Guid.CreateVersion7()).ToArray();
        foreach (var signup in signups)
            await SendAsync("Pulse.Contracts.Signups", nameof(SignupRequested), new { signupId = signup, acceptedAt = DateTimeOffset.UtcNow });
        return signups;
    }

    /// <summary>From now on they would succeed.</summary>
    public Task MendAsync(Guid[] signups) => _postgres.RunAsync("""
        insert into pulse.signups (signup_id, email, email_normalized, org_name, status, accepted_at, updated_at)
        select id, id || '@example.org', id || '@example.org', 'Replayed', 'accepted', now(), now() from unnest($1) as id
        """, signups);

    public Task<Guid[]> LettersAsync(Guid[] signups) => _postgres.AskAsync<Guid[]>("select array_agg(dead_letter_id) from pulse.dead_letters where ids && $1", signups);

    /// <summary>An operator's command. The worker may be dead before it is done.</summary>
    public async Task<Guid> AskAsync(string kind, string command, object request, Guid? replay = null)
    {
        var id = Guid.CreateVersion7();
        await _postgres.RunAsync(
            "insert into pulse.operations (operation_id, kind, request, actor, requested_at) values ($1, $2, $3::text::jsonb, 'key:test', now())",
            id, kind, JsonSerializer.Serialize(request));
        await SendAsync("Pulse.Contracts.DeadLetters", command, new { operationId = id, replayId = replay ?? id });
        return id;
    }

    public Task SucceededAsync(Guid operation) => Eventually.Until(
        () => _postgres.AskAsync<bool>("select status = 'succeeded' from pulse.operations where operation_id = $1", operation), Patience, $"operation {operation} succeeded");

    // One sentence, so that whatever is not as it should be is seen beside what is.
    const string EndSql = """
        select format('%s; items %s; sent %s, failures %s, organizations %s, consumed %s; miscounted %s, outbox %s, audit %s',
            (select string_agg(status || ' ' || n, ', ' order by status) from (select status, count(*) as n from pulse.dead_letters where ids && $1 group by 1) as s),
            (select string_agg(state || ' ' || n, ', ' order by state) from (select state, count(*) as n from pulse.replay_items where replay_id = $2 group by 1) as s),
            (select sum(attempts) from pulse.dead_letters where ids && $1),
            (select string_agg(o.of, ', ') from (
                select count(*) || ' of ' || occurrences as of from pulse.dead_letters join pulse.dead_letter_occurrences using (dead_letter_id)
                where ids && $1 group by dead_letter_id, occurrences order by 1) as o),
            (select count(*) from pulse.signups join pulse.organizations using (org_id) join pulse.memberships using (org_id) where signup_id = any($1)),
            (select count(*) from messaging.inbox i join pulse.dead_letters d on d.message_id = i.message_id and d.queue = i.consumer_id where d.ids && $1),
            (select count(*) from (
                (select fingerprint, queue, status, count(*) from pulse.dead_letters group by 1, 2, 3 except select * from pulse.dead_letter_counts_v1)
                union all
                (select * from pulse.dead_letter_counts_v1 except select fingerprint, queue, status, count(*) from pulse.dead_letters group by 1, 2, 3)) as wrong),
            (select count(*) from messaging.outbox),
            (select string_agg(action, ', ' order by seq) from pulse.audit_log where after ->> 'replay_id' = $2::text or after -> 'samples' ?| array(
                select dead_letter_id::text from pulse.dead_letters where ids && $1)))
        """;

    /// <summary>Waits until these messages, their letters and their last replay are as they should be, and nothing is under way.</summary>
    /// <param name="least">
    /// They may have failed more often than that, if each failure is counted: who dies between giving a message up and acknowledging it is given it again,
    /// and it fails again.
    /// </param>
    public async Task EndAsync(Guid[] signups, Guid? replay, string expected, int? least = null)
    {
        var end = "";
        try
        {
            await Eventually.Until(async () => (end = Counted(await _postgres.AskAsync<string>(EndSql, signups, replay ?? Guid.Empty), least)) == expected, Patience, "it ended as it should");
        }
        catch (TimeoutException)
        {
            // The comparison says more.
        }

        Assert.Equal(expected, end);
        DoctorReport? report = null;
        try
        {
            await Eventually.Until(
                async () =>
                {
                    report = await Doctor.ExamineAsync(_postgres.Worker, [_broker.Address], new InvariantScope
                    {
                        Now = DateTimeOffset.UtcNow,
                        UnfinishedAfter = TimeSpan.Zero,
                        OutboxAfter = TimeSpan.Zero,
                        InboxKept = TimeSpan.FromDays(44),
                    });
                    return report.Healthy && report.Queues.All(queue => queue.Value == 0);
                },
                Patience, "all is well");
        }
        catch (TimeoutException)
        {
            Assert.Fail(report!.ToTable());
        }
    }

    static string Counted(string end, int? least) => least is null
        ? end
        : AllCounted().Replace(end, failures => int.Parse(failures.Groups[1].ValueSpan, CultureInfo.InvariantCulture) > least ? $"{least} of {least}" : failures.Value);

    [GeneratedRegex(@"\b(\d+) of \1\b")]
    private static partial Regex AllCounted();

    Task SendAsync(string space, string name, object message)
    {
        var id = Guid.CreateVersion7();
        var body = JsonSerializer.SerializeToUtf8Bytes(new { messageId = id, messageType = new[] { $"urn:message:{space}:{name}" }, message });
        return _channel.BasicPublishAsync(
            $"{space}:{name}", "", mandatory: true,
            new BasicProperties { Persistent = true, MessageId = id.ToString(), ContentType = "application/vnd.masstransit+json" }, body).AsTask();
    }
}
