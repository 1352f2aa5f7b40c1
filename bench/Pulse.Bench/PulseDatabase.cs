using Npgsql;

namespace Pulse.Bench;

/// <summary>The database of the two processes, as benchmarks need it: empty, or full of tenants.</summary>
static class PulseDatabase
{
    const string EmptySql = """
        truncate pulse.signups, pulse.idempotency_keys, pulse.throttles, messaging.inbox, messaging.outbox, messaging.sagas;
        create temp table platform as select * from pulse.organizations where is_default;
        truncate pulse.organizations cascade;
        truncate pulse.users cascade;
        insert into pulse.organizations select * from platform;
        drop table platform
        """;

    /// <summary>Takes everything out but the platform's own organization. Nothing may be on its way to the worker.</summary>
    public static async Task EmptyAsync(Bench bench, NpgsqlDataSource dataSource)
    {
        await dataSource.RunAsync(EmptySql);
        await bench.Servers.Admin.RunAsync("checkpoint");
    }

    const string UnfinishedSql = """
        select (select count(*) from pulse.signups where status in ('accepted', 'awaiting_verification', 'provisioning'))
             + (select count(*) from messaging.outbox where due_at <= now())
        """;

    /// <summary>Waits until every signup has its end and every message of it is gone.</summary>
    public static async Task QuietAsync(NpgsqlDataSource dataSource, TimeSpan deadline)
    {
        await dataSource.UntilAsync(UnfinishedSql, left => left == 0, TimeSpan.FromMilliseconds(20), deadline);
        // The last event's consumer is not to be seen in a table that it empties: it is done when nobody writes any more.
        long before;
        var now = await dataSource.NextTransactionAsync();
        do
        {
            before = now;
            await Task.Delay(500);
            now = await dataSource.NextTransactionAsync();
        }
        while (now != before);
    }

    // Rows as provisioning makes them, in the same order of ids as time makes them.
    const string SeedSql = """
        with made as (
            select i,
                   (lpad(to_hex(1700000000000 + i), 12, '0') || '7000' || '8000' || lpad(to_hex(i), 12, '0'))::uuid as org_id,
                   (lpad(to_hex(1700000000000 + i), 12, '0') || '7001' || '8000' || lpad(to_hex(i), 12, '0'))::uuid as user_id
            from generate_series($1 + 1, $2) i),
        organizations as (
            insert into pulse.organizations (org_id, name, status, created_at)
            select org_id, 'Organization ' || i, 'active', now() from made),
        users as (
            insert into pulse.users (user_id, email, email_normalized, created_at)
            select user_id, 'seed-' || i || '@bench.example', 'seed-' || i || '@bench.example', now() from made),
        memberships as (
            insert into pulse.memberships (org_id, user_id, role, created_at) select org_id, user_id, 'owner', now() from made)
        insert into pulse.billing_states (org_id, subscription_state, plan_version, trial_ends_at, updated_at)
        select org_id, 'trial', 'trial', now() + interval '14 days', now() from made
        """;

    /// <summary>Adds tenants until there are <paramref name="count"/> from here.</summary>
    public static async Task SeedAsync(Bench bench, NpgsqlDataSource dataSource, int from, int count)
    {
        // In pieces, and not in one transaction of minutes.
        for (var at = from; at < count; at += 50_000)
            await dataSource.RunAsync(SeedSql, (long)at, (long)Math.Min(at + 50_000, count));
        // Or autovacuum finds the new rows while it is measured.
        await dataSource.RunAsync("vacuum analyze");
        await bench.Servers.Admin.RunAsync("checkpoint");
    }
}
