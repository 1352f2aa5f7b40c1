using System.Security.Cryptography;
using System.Text.Json;
using Microsoft.Extensions.Logging.Abstractions;
using Npgsql;
using NpgsqlTypes;
using Pulse.Contracts.DeadLetters;
using Pulse.Contracts.Signups;
using Pulse.EndToEnd.Nemesis;
using Pulse.Hosting;
using Pulse.Messaging.Outbox;
using Pulse.Testing;
using Xunit.Abstractions;

namespace Pulse.EndToEnd.DeadLetters;

/// <summary>Dead letters are replayed while worker, ingress, broker and Postgres are killed: nothing is lost, and every effect is there once.</summary>
/// <remarks>PULSE_TEST_LONG=1 replays 1 000 letters under 50 kills. PULSE_NEMESIS_SEED repeats a run's kills.</remarks>
[Collection(nameof(NemesisAlone))]
public sealed class ReplayKillTests(ITestOutputHelper output) : IAsyncLifetime
{
    static readonly bool Long = Environment.GetEnvironmentVariable("PULSE_TEST_LONG") == "1";
    static readonly int Letters = Long ? 1000 : 300;
    static readonly int Kills = Long ? 50 : 6;

    readonly Platform _platform = new(workers: 1, ingresses: 1, nodes: 1);
    NpgsqlDataSource _postgres = null!;

    public async Task InitializeAsync()
    {
        await _platform.StartAsync();
        var address = PostgresAddress.Parse(_platform.Servers.Postgres);
        // It would hold connections to a server that was killed.
        address.Pooling = false;
        _postgres = NpgsqlDataSource.Create(address);
    }

    public async Task DisposeAsync()
    {
        await (_postgres?.DisposeAsync() ?? default);
        await _platform.DisposeAsync();
    }

    [Fact]
    public async Task Whatever_is_killed_each_letter_is_replayed_and_has_its_effect_once()
    {
        var seed = int.TryParse(Environment.GetEnvironmentVariable("PULSE_NEMESIS_SEED"), out var given) ? given : RandomNumberGenerator.GetInt32(1_000_000);
        output.WriteLine($"PULSE_NEMESIS_SEED={seed}");
        var random = new Random(seed);

        // Signups that are not there yet: hopeless, and so dead letters at once. Then what was missing is put there.
        var signups = Enumerable.Range(0, Letters).Select(_ => Guid.CreateVersion7()).ToArray();
        await PublishAsync([.. signups.Select(id => new SignupRequested { SignupId = id, AcceptedAt = DateTimeOffset.UtcNow })]);
        await CountBecomesAsync("select count(*) from pulse.dead_letters where status = 'parked'", Letters, "every message was collected");
        await RunAsync("""
            insert into pulse.signups (signup_id, email, email_normalized, org_name, status, accepted_at, updated_at)
            select id, id || '@example.org', id || '@example.org', 'Replayed', 'accepted', now(), now() from unnest($1) as id
            """, signups);

        var replay = (await CommandAsync(DeadLetterOperations.Plan, new PlanRequest { Filter = new DeadLetterFilter { Queue = "provisioning" } }, id => new PlanReplay { OperationId = id }))!;
        await CommandAsync(
            DeadLetterOperations.Start, new StartRequest { RatePerSecond = Letters / (Kills * (Long ? 10.0 : 6)), Canary = 5, StopOnFailureRatio = 1 },
            id => new StartReplay { OperationId = id, ReplayId = replay.ReplayId });

        var (killed, resolved) = (new List<string>(), 0L);
        for (var kill = 0; kill < Kills; kill++)
        {
            string[] kinds = [Platform.Worker, Platform.Worker, Platform.Broker, Platform.Postgres, Platform.Ingress];
            // Each kind once at least, in any order.
            var kind = kill < 4 ? ((string[])[Platform.Worker, Platform.Broker, Platform.Postgres, Platform.Ingress])[(kill + seed) % 4] : kinds[random.Next(kinds.Length)];
            var name = _platform.Named(kind)[0];
            // In the middle of it: something has moved since the last one.
            var before = resolved;
            await Eventually.Until(
                async () => (resolved = await ResolvedAsync()) > before || resolved == Letters, TimeSpan.FromSeconds(120), $"the replay goes on after {kill} kills");
            await Task.Delay(random.Next(500, 3000));
            killed.Add($"{name} at {await ResolvedAsync()}");
            await _platform.KillAsync([name]);
            await Task.Delay(random.Next(1000));
            await _platform.RestartAsync([name]);
            if (random.NextDouble() < 0.8)
                await _platform.ReadyAsync();
        }

        await _platform.ReadyAsync();
        output.WriteLine($"{Letters} letters, kill -9: {string.Join(", ", killed)}");
        await Eventually.Until(
            async () => await AskAsync<string>("select status from pulse.replays where replay_id = $1", replay.ReplayId) == ReplayStatus.Completed,
            TimeSpan.FromMinutes(5), "the replay is completed");

        Assert.Equal($"resolved {Letters}", await AskAsync<string>(
            "select string_agg(status || ' ' || n, ', ' order by status) from (select status, count(*) as n from pulse.dead_letters group by status) as counts"));
        Assert.Equal($"resolved {Letters}", await AskAsync<string>(
            "select string_agg(state || ' ' || n, ', ' order by state) from (select state, count(*) as n from pulse.replay_items where not active group by state) as counts"));
        Assert.Equal(
            $"{Letters} sent, {Letters} failures, {Letters} organizations, {Letters} members, {Letters} sagas",
            await AskAsync<string>("""
                select format('%s sent, %s failures, %s organizations, %s members, %s sagas',
                    (select sum(attempts) from pulse.dead_letters), (select count(*) from pulse.dead_letter_occurrences),
                    (select count(*) from pulse.organizations where not is_default), (select count(*) from pulse.memberships),
                    (select count(*) from messaging.sagas where current_state = 'Provisioned'))
                """));
        // Whoever hears of a tenant heard once of each.
        await CountBecomesAsync("select count(*) from messaging.inbox where consumer_id = 'metrics'", Letters, "every event arrived");
        await Eventually.Until(async () => (await _platform.ExamineAsync()).Queues.All(queue => queue.Value == 0), TimeSpan.FromSeconds(60), "the queues are empty");
        await CountBecomesAsync("select count(*) from messaging.outbox", 0, "the outbox is empty");
        var report = await _platform.ExamineAsync();
        Assert.True(report.Healthy, report.ToTable());
    }

    Task<long> ResolvedAsync() => AskAsync<long>("select count(*) from pulse.dead_letters where status = 'resolved'");

    Task CountBecomesAsync(string sql, long count, string what) =>
        Eventually.Until(async () => await AskAsync<long>(sql) == count, TimeSpan.FromSeconds(120), what);

    async Task<T> AskAsync<T>(string sql, params object[] parameters)
    {
        await using var command = _postgres.CreateCommand(sql);
        foreach (var parameter in parameters)
            command.Parameters.Add(new NpgsqlParameter { Value = parameter });
        return (T)(await command.ExecuteScalarAsync())!;
    }

    async Task RunAsync(string sql, params object[] parameters)
    {
        await using var command = _postgres.CreateCommand(sql);
        foreach (var parameter in parameters)
            command.Parameters.Add(new NpgsqlParameter { Value = parameter });
        await command.ExecuteNonQueryAsync();
    }

    OutboxPublisher Publisher => new(TimeProvider.System, new OutboxBell(_postgres, NullLogger<OutboxBell>.Instance));

    async Task PublishAsync<T>(T[] messages)
        where T : class
    {
        await using var batch = _postgres.CreateBatch();
        foreach (var message in messages)
            batch.BatchCommands.Add(Publisher.Publish(message));
        await batch.ExecuteNonQueryAsync();
    }

    // As ingress does it.
    async Task<ReplayState?> CommandAsync<T>(string kind, object request, Func<Guid, T> command)
        where T : class
    {
        var id = Guid.CreateVersion7();
        await using (var batch = _postgres.CreateBatch())
        {
            batch.BatchCommands.Add(new NpgsqlBatchCommand("insert into pulse.operations (operation_id, kind, request, actor, requested_at) values ($1, $2, $3, 'key:test', now())")
            {
                Parameters =
                {
                    new NpgsqlParameter { Value = id }, new NpgsqlParameter { Value = kind },
                    new NpgsqlParameter { Value = JsonSerializer.Serialize(request), NpgsqlDbType = NpgsqlDbType.Jsonb },
                },
            });
            batch.BatchCommands.Add(Publisher.Publish(command(id)));
            await batch.ExecuteNonQueryAsync();
        }

        await Eventually.Until(() => AskAsync<bool>("select status = 'succeeded' from pulse.operations where operation_id = $1", id), TimeSpan.FromSeconds(60), $"{kind} succeeded");
        return JsonSerializer.Deserialize<ReplayState>(await AskAsync<string>("select result::text from pulse.operations where operation_id = $1", id));
    }
}
