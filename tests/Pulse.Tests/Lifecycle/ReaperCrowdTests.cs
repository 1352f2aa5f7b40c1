using System.Diagnostics;
using Npgsql;
using Pulse.Worker.Lifecycle;
using Xunit.Abstractions;

namespace Pulse.Tests.Lifecycle;

/// <summary>Many organizations due at once, several reapers, and reapers that are killed.</summary>
/// <remarks>PULSE_TEST_LONG=1: 10 000 organizations, four reapers, twenty kills; PULSE_TEST_ORGS another number. Otherwise few.</remarks>
public sealed class ReaperCrowdTests(ITestOutputHelper output) : IAsyncLifetime
{
    static readonly bool Long = Environment.GetEnvironmentVariable("PULSE_TEST_LONG") == "1";
    static readonly int Due = int.TryParse(Environment.GetEnvironmentVariable("PULSE_TEST_ORGS"), out var given) ? given : Long ? 10_000 : 300;
    static readonly int Kills = Long ? 20 : 6;

    readonly LifecycleBed _bed = new();

    public Task InitializeAsync() => _bed.InitializeAsync();

    public Task DisposeAsync() => _bed.DisposeAsync();

    // As soft deletes leave them: every tenth is under hold, every tenth is not due yet, and every tenth is not deleted at all.
    const string ArrangeSql = """
        with made as (
            select gen_random_uuid() as org_id, gen_random_uuid() as user_id, gen_random_uuid() as deletion_id, gen_random_uuid() as signup_id, i from generate_series(1, $1) i),
        orgs as (
            insert into pulse.organizations (org_id, name, status, created_at, deletion_requested_at, retention_days, purge_after, status_before_deletion, deletion_id, legal_hold_at, export_waived)
            select org_id, 'Org ' || i, case when i % 13 = 12 then 'active' else 'pending_deletion' end, $2::timestamptz - interval '60 days',
                case when i % 13 <> 12 then deleted end, case when i % 13 <> 12 then 30 end, case when i % 13 <> 12 then deleted + interval '720 hours' end,
                case when i % 13 <> 12 then 'active' end, case when i % 13 <> 12 then deletion_id end, case when i % 13 = 10 then $2::timestamptz end, i % 50 <> 0
            from made, lateral (select case when i % 13 = 11 then $2::timestamptz - interval '29 days' else $2::timestamptz - interval '31 days' end as deleted) d),
        owners as (
            insert into pulse.users (user_id, email, email_normalized, created_at) select user_id, 'u' || i || '@example.org', 'u' || i || '@example.org', $2 from made),
        members as (insert into pulse.memberships select org_id, user_id, 'owner', $2 from made),
        billing as (
            insert into pulse.billing_states (org_id, subscription_state, plan_version, trial_ends_at, updated_at) select org_id, 'trial', 'trial', $2, $2 from made),
        asked as (
            insert into pulse.signups (signup_id, status, org_id, accepted_at, updated_at) select signup_id, 'provisioned', org_id, $2, $2 from made)
        insert into messaging.outbox (id, message_id, exchange, routing_key, content_type, body, due_at, relay_at, token)
        select gen_random_uuid(), gen_random_uuid(), 'Pulse.Contracts.Lifecycle:RetentionEnded', '', 'application/json',
            convert_to(jsonb_build_object('message', jsonb_build_object('orgId', org_id, 'deletionId', deletion_id))::text, 'UTF8'), $2, $2, deletion_id
        from made where i % 13 < 11
        """;

    [Fact]
    public async Task However_many_are_due_and_whichever_reaper_dies_each_is_purged_once_none_early_none_held_and_none_before_it_is_confirmed()
    {
        var since = Stopwatch.GetTimestamp();
        var all = Due * 13 / 10;
        await _bed.Postgres.RunAsync(ArrangeSql, all, _bed.Clock.GetUtcNow().UtcDateTime);
        var due = await _bed.Postgres.AskAsync<long>("select count(*) from pulse.reaper_due($1)", _bed.Clock.GetUtcNow().UtcDateTime);
        var options = _bed.Options with { Most = 20, Share = 0.05 };

        // Every timer comes, and every reaper sweeps: nothing.
        await ReapAsync(options, kills: 0, sweeps: true);
        Assert.Equal(0L, await CountAsync("select count(*) from pulse.organizations where purge_started_at is not null"));
        Assert.Equal(0L, await CountAsync("select count(*) from pulse.tombstones"));

        var hash = await _bed.Postgres.AskAsync<string>("select pulse.reaper_hash($1)", _bed.Clock.GetUtcNow().UtcDateTime);
        var confirmation = await _bed.AskAsync("confirm", Guid.CreateVersion7(), $$"""{"hash":"{{hash}}"}""");
        var killed = await ReapAsync(options, Kills, sweeps: false);
        Assert.Equal("succeeded", await _bed.EndAsync(confirmation));
        // Of some a message was still on its way when it was looked for what is left: they are looked at again, later.
        for (var round = 0; round < 20 && await CountAsync("select count(*) from pulse.purges") > 0; round++)
        {
            _bed.Clock.Advance(TimeSpan.FromMinutes(1));
            await ReapAsync(options, kills: 0, sweeps: false);
        }


        Assert.Equal(due, await CountAsync("select count(*) from pulse.tombstones"));
        Assert.Equal(0L, await CountAsync("select count(*) from pulse.purges"));
        Assert.Equal(all - due, await CountAsync("select count(*) from pulse.organizations where not is_default"));
        Assert.Equal(0L, await CountAsync("select count(*) from pulse.organizations where purge_started_at is not null"));
        foreach (var action in (string[])["purge_started", "organization_rows_deleted", "organization_purged"])
            Assert.Equal((due, due), (await CountAsync($"select count(*) from pulse.audit_log where action = '{action}'"), await CountAsync($"select count(distinct org_id) from pulse.audit_log where action = '{action}'")));
        Assert.Equal(due, await CountAsync("select count(*) from pulse.tombstones where counts -> 'organizations' = '1' and residue_rows = 0"));
        output.WriteLine($"{due} of {all} due, 4 reapers, {killed} killed: {due} purged, each once; {Stopwatch.GetElapsedTime(since).TotalSeconds:0} s");
    }

    [Fact]
    public async Task Without_the_breaker_they_would_all_be_purged_unasked()
    {
        await _bed.Postgres.RunAsync(ArrangeSql, 26, _bed.Clock.GetUtcNow().UtcDateTime);
        await ReapAsync(_bed.Options with { Most = 20, Share = 0.05, HonoursBreaker = false }, kills: 0, sweeps: false);
        Assert.NotEqual(0L, await CountAsync("select count(*) from pulse.tombstones"));
    }

    Task<long> CountAsync(string sql) => _bed.Postgres.AskAsync<long>(sql);

    /// <summary>Four reapers share what is due until nothing is; some are killed on the way, and others take their place.</summary>
    async Task<int> ReapAsync(ReaperOptions options, int kills, bool sweeps)
    {
        var (consumed, killed) = (0L, 0);
        var total = await CountAsync("select count(*) from messaging.outbox") * 5;
        await Task.WhenAll(Enumerable.Range(0, 4).Select(reaper => Task.Run(async () =>
        {
            var worker = _bed.Worker(options);
            if (sweeps)
                await worker.SweepAsync();
            while (await CountAsync("select count(*) from messaging.outbox where due_at <= '" + _bed.Clock.GetUtcNow().UtcDateTime.ToString("O", System.Globalization.CultureInfo.InvariantCulture) + "'") > 0)
            {
                try
                {
                    var share = await worker.ShareAsync();
                    // Spread over the whole way.
                    if (Interlocked.Add(ref consumed, share) is var sofar && killed < kills && sofar > killed * total / kills / 2 && Interlocked.Increment(ref killed) <= kills)
                        _ = KillAsync(worker);
                }
                catch (Exception exception) when (exception is NpgsqlException or ObjectDisposedException or IOException)
                {
                    // Dead, or in a deadlock of whose victims there is one: another takes its place, and what it had claimed comes again.
                    await worker.DisposeAsync();
                    worker = _bed.Worker(options);
                }
            }

            await worker.DisposeAsync();
        })));
        return killed;
    }

    // Whatever it is doing.
    async Task KillAsync(LifecycleWorker worker) =>
        await _bed.Postgres.AskAsync<long>("select count(pg_terminate_backend(pid)) from pg_stat_activity where application_name = $1", worker.Name);
}
