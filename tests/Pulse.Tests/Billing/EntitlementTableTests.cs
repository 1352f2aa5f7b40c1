using System.Text.Json;
using Microsoft.Extensions.Logging.Abstractions;
using Npgsql;
using Pulse.Catalog;
using Pulse.Messaging.Outbox;
using Pulse.Worker.Billing;
using static Pulse.Tests.Billing.Bill;

namespace Pulse.Tests.Billing;

/// <summary>What is stored of the rules' answers, and when it is computed again.</summary>
public sealed class EntitlementTableTests(TestPostgres postgres) : IClassFixture<TestPostgres>
{
    [Fact]
    public async Task An_organization_without_a_subscription_stays_as_it_was_made()
    {
        var org = await OrgAsync();
        var entitlements = await RecomputeAsync(org);
        Assert.Equal((1, "trial", false), (entitlements!.Version, entitlements.Current.State, entitlements.Changed));
        Assert.Equal("1 trial f 0", await ToldAsync(org));
        Assert.Equal(TrialEndsAt.UtcDateTime, await postgres.AskAsync<DateTime>("select next_boundary_at from pulse.billing_states where org_id = $1", org));
    }

    [Fact]
    public async Task A_change_is_a_new_version_with_an_audit_row_and_a_repeat_is_nothing()
    {
        var org = await OrgAsync();
        await SayAsync(org, Customer(Subscription()));
        Assert.Equal((2, true), (await RecomputeAsync(org)) is { } first ? (first.Version, first.Changed) : default);
        Assert.Equal("2 active t 1", await ToldAsync(org));
        Assert.Equal("stripe billing_state_changed evt_1 trial 1 expired active 2", await postgres.AskAsync<string>("""
            select concat_ws(' ', actor, action, cause, before ->> 'subscription_state', before ->> 'version', before -> 'later' -> 0 ->> 'state',
                after ->> 'subscription_state', after ->> 'version')
            from pulse.audit_log where org_id = $1
            """, org));

        Assert.Equal((2, false), (await RecomputeAsync(org, Day(1))) is { } second ? (second.Version, second.Changed) : default);
        Assert.Equal("2 active t 1", await ToldAsync(org));
        Assert.Equal(Day(1).UtcDateTime, await postgres.AskAsync<DateTime>("select verified_at from pulse.billing_states where org_id = $1", org));
        // Since when it holds is not moved on by computing it again.
        Assert.Equal(Now, (await SeenAsync(org))[0].From);
    }

    [Fact]
    public async Task What_readers_see_is_the_timeline_of_the_rules()
    {
        var org = await OrgAsync();
        Assert.Equal("trial, 10: expired", (await SeenAsync(org)).Told());
        await SayAsync(org, Customer(Subscription("past_due")) with { OpenInvoices = [Invoice(-2)] });
        await RecomputeAsync(org);
        Assert.Equal("grace, 12: suspended, 42: expired", (await SeenAsync(org)).Told());
        Assert.Equal(Day(12).UtcDateTime, await postgres.AskAsync<DateTime>("select next_boundary_at from pulse.billing_states where org_id = $1", org));
    }

    [Fact]
    public async Task Every_change_is_announced_to_readers_and_nothing_else_is()
    {
        var org = await OrgAsync();
        await SayAsync(org, Customer(Subscription()));
        await using var ears = await postgres.Worker.OpenConnectionAsync();
        var heard = new List<string>();
        ears.Notification += (_, said) => heard.Add(said.Payload);
        await using (var listen = new NpgsqlCommand("listen pulse_entitlements", ears))
            await listen.ExecuteNonQueryAsync();

        await RecomputeAsync(org);
        await RecomputeAsync(org);
        await SayAsync(org, Customer(Subscription("canceled")));
        await RecomputeAsync(org);
        await Eventually.Until(async () =>
        {
            await using var round = new NpgsqlCommand("select 1", ears);
            await round.ExecuteNonQueryAsync();
            return heard.Count(one => one.Contains(org.ToString(), StringComparison.Ordinal)) == 2;
        }, TimeSpan.FromSeconds(10), "two changes were heard");
        Assert.Contains("\"version\" : 3", heard[^1], StringComparison.Ordinal);
    }

    [Fact]
    public async Task Two_customers_that_change_at_the_same_time_both_count()
    {
        var org = await OrgAsync();
        await using var first = await postgres.Worker.OpenConnectionAsync();
        await using var second = await postgres.Worker.OpenConnectionAsync();
        await using var one = await first.BeginTransactionAsync();
        await using var two = await second.BeginTransactionAsync();

        await SayAsync(org, Customer(Subscription()), "cus_a", first);
        await EntitlementTable.RecomputeAsync(first, org, Bill.Plans, Now, true, "stripe", "a", default);
        await SayAsync(org, Customer(Subscription("active", "price_pro", "sub_2")), "cus_b", second);
        var waiting = EntitlementTable.RecomputeAsync(second, org, Bill.Plans, Now, true, "stripe", "b", default);
        await Eventually.Until(
            () => postgres.AskAsync<bool>("select exists (select from pg_locks where not granted)"), TimeSpan.FromSeconds(10), "the second waits for the first");
        await one.CommitAsync();
        await waiting;
        await two.CommitAsync();

        Assert.Equal(["export", "projects", "sso"], (await SeenAsync(org))[0].Capabilities);
        Assert.Equal("3 active t 2", await ToldAsync(org));
    }

    [Fact]
    public async Task There_is_nothing_of_nobody_and_nothing_of_the_platform_s_own_organization()
    {
        Assert.Null(await RecomputeAsync(Guid.NewGuid()));
        Assert.Null(await RecomputeAsync(await postgres.AskAsync<Guid>("select org_id from pulse.organizations where is_default")));
        Assert.Equal(0, await postgres.AskAsync<long>("select count(*) from pulse.billing_states b join pulse.organizations using (org_id) where is_default"));
    }

    [Fact]
    public async Task An_organization_whose_billing_state_is_missing_gets_one()
    {
        var org = await OrgAsync();
        await RunAsync("delete from pulse.billing_states where org_id = $1", org);
        Assert.Equal("trial", (await RecomputeAsync(org))!.Current.State);
        Assert.Equal("1 trial f 0", await ToldAsync(org));
    }

    [Fact]
    public async Task A_price_without_a_plan_stops_a_sync_and_nothing_else()
    {
        var org = await OrgAsync();
        await SayAsync(org, Customer(Subscription()));
        await RecomputeAsync(org);
        await SayAsync(org, Customer(Subscription("active", "price_new")));
        Assert.Equal("price_new", (await Assert.ThrowsAsync<UnknownPriceException>(() => RecomputeAsync(org))).PriceId);
        Assert.Equal("2 active t 1", await ToldAsync(org));

        var kept = await RecomputeAsync(org, verified: false);
        Assert.Equal(("active", true), (kept!.Current.State, kept.Current.Stale));
        Assert.Equal(["export", "projects"], kept.Current.Capabilities);
    }

    [Fact]
    public async Task An_override_never_becomes_what_was_known_of_Stripe()
    {
        var org = await OrgAsync();
        await SayAsync(org, Customer(Subscription("canceled")));
        await RecomputeAsync(org);
        await RunAsync("""
            insert into pulse.billing_overrides (override_id, org_id, effect, state, actor, created_at)
            values (gen_random_uuid(), $1, 'pin', '{"subscription_state":"active","capabilities":["all"]}', 'key:a', now())
            """, org);
        Assert.Equal("active", (await RecomputeAsync(org))!.Current.State);
        await SayAsync(org, Customer(Subscription("something_new")));
        await RecomputeAsync(org);
        await RunAsync("update pulse.billing_overrides set revoked_at = now() where org_id = $1", org);

        var after = (await RecomputeAsync(org))!.Current;
        Assert.Equal(("expired", "stripe", true), (after.State, after.Source, after.Stale));
        Assert.Empty(after.Capabilities);
    }

    // --- sweeps -------------------------------------------------------------------------------------------------------------

    [Fact]
    public async Task Two_workers_share_what_came_to_a_boundary_and_each_is_published_once()
    {
        var clock = new TestClock();
        var orgs = await Task.WhenAll(Enumerable.Range(0, 250).Select(_ => OrgAsync(clock.GetUtcNow().AddDays(1))));
        clock.Advance(TimeSpan.FromDays(1));
        var counts = await Task.WhenAll(Enumerable.Range(0, 2).Select(_ => SweepAsync(clock)));

        Assert.True(counts.Sum() >= 250);
        Assert.Equal(250L, await postgres.AskAsync<long>("select count(*) from pulse.billing_states where org_id = any($1) and version = 2 and subscription_state = 'expired' and next_boundary_at is null", orgs));
        Assert.Equal(250L, await postgres.AskAsync<long>("select count(*) from pulse.audit_log where org_id = any($1) and actor = 'clock'", orgs));
        Assert.Equal(250L, await PublishedAsync(orgs));
        Assert.Equal(0, await SweepAsync(clock));
    }

    [Fact]
    public async Task A_worker_that_dies_in_the_midst_of_a_sweep_leaves_everything_to_the_next()
    {
        var clock = new TestClock();
        var orgs = await Task.WhenAll(Enumerable.Range(0, 3).Select(_ => OrgAsync(clock.GetUtcNow().AddDays(2))));
        clock.Advance(TimeSpan.FromDays(2));

        // Its connection goes while it computes: the claim is its, and the first statements are done.
        await Assert.ThrowsAnyAsync<NpgsqlException>(() => Recomputation(clock).RunAsync(
            async (connection, now, except, limit, token) =>
            {
                var claimed = await EntitlementTable.ClaimAtBoundaryAsync(connection, now, except, limit, token);
                await EntitlementTable.RecomputeAsync(connection, claimed[0], Bill.Plans, now, false, "clock", "boundary", token);
                await postgres.AskAsync<bool>("select pg_terminate_backend($1)", connection.ProcessID);
                return claimed;
            },
            "clock", "boundary", default));
        Assert.Equal(3L, await postgres.AskAsync<long>("select count(*) from pulse.billing_states where org_id = any($1) and version = 1", orgs));
        Assert.Equal(0L, await PublishedAsync(orgs));

        await SweepAsync(clock);
        Assert.Equal(3L, await PublishedAsync(orgs));
    }

    [Fact]
    public async Task One_that_can_not_be_computed_holds_up_nobody()
    {
        var clock = new TestClock();
        var orgs = await Task.WhenAll(Enumerable.Range(0, 5).Select(_ => OrgAsync(clock.GetUtcNow().AddDays(3))));
        await RunAsync("insert into pulse.stripe_customers (customer_id, org_id, canonical, created_at) values ('cus_broken', $1, '{}', now())", orgs[2]);
        clock.Advance(TimeSpan.FromDays(3));
        var recomputation = Recomputation(clock);
        Task<int> sweep() => recomputation.RunAsync(EntitlementTable.ClaimAtBoundaryAsync, "clock", "boundary", default);

        Assert.True(await sweep() >= 4);
        Assert.Equal(4L, await PublishedAsync(orgs));
        Assert.Equal(0, await sweep());

        await RunAsync("delete from pulse.stripe_customers where customer_id = 'cus_broken' and org_id = $1", orgs[2]);
        clock.Advance(TimeSpan.FromMinutes(1));
        Assert.Equal(1, await sweep());
        Assert.Equal(5L, await PublishedAsync(orgs));
    }

    [Fact]
    public async Task New_plans_are_put_in_force_and_what_was_computed_with_others_is_computed_again()
    {
        var org = await OrgAsync();
        var untouched = await OrgAsync();
        await SayAsync(org, Customer(Subscription()));
        await PlanTable.PutInForceAsync(postgres.Worker, Bill.Plans, Now, default);
        await RecomputeAsync(org);
        Assert.Equal("pro-1 seats-1 starter-1 trial", await postgres.AskAsync<string>("select string_agg(plan_version, ' ' order by plan_version) from pulse.plan_versions"));
        Assert.Equal(21, await postgres.AskAsync<int>("""select grace_days from pulse.plan_versions where capabilities = '{projects,sso}' and limits = '{"seats":100}'"""));

        var plans = new Plans([Bill.Trial with { Capabilities = ["trying"] }, Starter with { Capabilities = ["everything"] }]);
        var clock = new TestClock();
        Task<int> sweep() => new Recomputation(postgres.Worker, Publisher(clock), plans, clock, NullLogger<Recomputation>.Instance).RunAsync(
            (connection, _, except, limit, token) => EntitlementTable.ClaimOfOtherPlansAsync(connection, BillingRules.InForce(plans), except, limit, token), "plans", "plans", default);

        // As long as another worker's plans are in force, this one leaves things alone.
        Assert.Equal(0, await sweep());
        await PlanTable.PutInForceAsync(postgres.Worker, plans, Now, default);
        Assert.True(await sweep() >= 1);
        Assert.Equal(["everything"], (await SeenAsync(org))[0].Capabilities);
        Assert.Equal(1L, await PublishedAsync([org]));
        Assert.Equal(0, await sweep());

        // A local trial is read from the plan itself.
        Assert.Equal(["trying"], (await SeenAsync(untouched))[0].Capabilities);
        Assert.Equal("1 trial f 0", await ToldAsync(untouched));
    }

    // --- rows -----------------------------------------------------------------------------------------------------------------

    Task<int> SweepAsync(TestClock clock) => Recomputation(clock).RunAsync(EntitlementTable.ClaimAtBoundaryAsync, "clock", "boundary", default);

    Recomputation Recomputation(TestClock clock) => new(postgres.Worker, Publisher(clock), Bill.Plans, clock, NullLogger<Recomputation>.Instance);

    OutboxPublisher Publisher(TestClock clock) => new(clock, new OutboxBell(postgres.Worker, NullLogger<OutboxBell>.Instance));

    async Task<Guid> OrgAsync(DateTimeOffset? trialEndsAt = null)
    {
        var org = Guid.CreateVersion7();
        await RunAsync("""
            with org as (insert into pulse.organizations (org_id, name, status, created_at) values ($1, 'A', 'active', $2::timestamptz - interval '14 days'))
            insert into pulse.billing_states (org_id, subscription_state, plan_version, trial_ends_at, next_boundary_at, updated_at)
            values ($1, 'trial', 'trial', $2, $2, $2::timestamptz - interval '14 days')
            """, org, (trialEndsAt ?? TrialEndsAt).UtcDateTime);
        return org;
    }

    async Task SayAsync(Guid org, Canonical canonical, string? customer = null, NpgsqlConnection? connection = null)
    {
        await using var own = connection is null ? await postgres.Worker.OpenConnectionAsync() : null;
        await using var command = new NpgsqlCommand("""
            insert into pulse.stripe_customers (customer_id, org_id, canonical, created_at) values ($1, $2, $3::jsonb, now())
            on conflict (customer_id) do update set canonical = excluded.canonical
            """, connection ?? own);
        foreach (var value in new object[] { customer + org, org, JsonSerializer.Serialize(canonical, Canonical.Json) })
            command.Parameters.Add(new NpgsqlParameter { Value = value });
        await command.ExecuteNonQueryAsync();
    }

    async Task<Pulse.Worker.Billing.Entitlements?> RecomputeAsync(Guid org, DateTimeOffset? now = null, bool verified = true)
    {
        await using var connection = await postgres.Worker.OpenConnectionAsync();
        await using var transaction = await connection.BeginTransactionAsync();
        var entitlements = await EntitlementTable.RecomputeAsync(connection, org, Bill.Plans, now ?? Now, verified, "stripe", "evt_1", default);
        await transaction.CommitAsync();
        return entitlements;
    }

    Task<string> ToldAsync(Guid org) => postgres.AskAsync<string>("""
        select concat_ws(' ', version, subscription_state, timeline is not null, (select count(*) from pulse.audit_log a where a.org_id = b.org_id))
        from pulse.billing_states b where org_id = $1
        """, org);

    async Task<IReadOnlyList<Segment>> SeenAsync(Guid org) => JsonSerializer.Deserialize<IReadOnlyList<Segment>>(
        await postgres.AskAsync<string>("select timeline::text from pulse.entitlements_v1 where org_id = $1", org), Canonical.Json)!;

    Task<long> PublishedAsync(Guid[] orgs) => postgres.AskAsync<long>("""
        select count(*) from messaging.outbox, unnest($1) org
        where exchange = 'Pulse.Contracts.Billing:EntitlementsChanged' and convert_from(body, 'UTF8') like '%' || org || '%'
        """, orgs);

    async Task RunAsync(string sql, params object[] parameters)
    {
        await using var command = postgres.Worker.CreateCommand(sql);
        foreach (var parameter in parameters)
            command.Parameters.Add(new NpgsqlParameter { Value = parameter });
        await command.ExecuteNonQueryAsync();
    }
}
