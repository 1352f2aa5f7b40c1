using Npgsql;

namespace Pulse.Tests.Signups;

/// <summary>What an attacker who has taken over the ingress gets from Postgres.</summary>
public sealed class PrivilegeTests(TestPostgres postgres) : IClassFixture<TestPostgres>
{
    [Theory]
    [InlineData("select email from pulse.signups")]
    [InlineData("select signup_id from pulse.signups")]
    [InlineData("update pulse.signups set status = 'failed'")]
    [InlineData("delete from pulse.signups")]
    [InlineData("truncate pulse.signups")]
    [InlineData("select * from pulse.users")]
    [InlineData("insert into pulse.users values (gen_random_uuid(), 'a', 'a', null, now())")]
    [InlineData("update pulse.users set password_hash = ''")]
    [InlineData("select * from pulse.organizations")]
    [InlineData("insert into pulse.organizations values (gen_random_uuid(), 'a', 'active', false, now())")]
    [InlineData("update pulse.organizations set status = 'active'")]
    [InlineData("select * from pulse.memberships")]
    [InlineData("insert into pulse.memberships values (gen_random_uuid(), gen_random_uuid(), 'owner', now())")]
    [InlineData("select * from pulse.billing_states")]
    [InlineData("select * from pulse.stripe_customers")]
    [InlineData("update pulse.stripe_customers set dirty = 1")]
    [InlineData("select * from pulse.stripe_rate")]
    [InlineData("update pulse.stripe_rate set next_at = 'infinity'")]
    [InlineData("update pulse.stripe_reconciliation set polled_at = null")]
    [InlineData("update pulse.billing_states set subscription_state = 'active'")]
    [InlineData("insert into pulse.billing_states (org_id, subscription_state, plan_version, updated_at) values (gen_random_uuid(), 'active', 'pro', now())")]
    [InlineData("update pulse.billing_states set timeline = null")]
    [InlineData("select * from pulse.billing_overrides")]
    [InlineData("insert into pulse.billing_overrides (override_id, org_id, effect, actor, created_at) values (gen_random_uuid(), gen_random_uuid(), 'pin', 'x', now())")]
    [InlineData("update pulse.billing_overrides set revoked_at = now()")]
    [InlineData("delete from pulse.billing_overrides")]
    [InlineData("update pulse.billing_overrides_v1 set revoked_at = null")]
    [InlineData("insert into pulse.plan_versions (plan_version) values ('mine')")]
    [InlineData("update pulse.plan_versions set capabilities = '{all}'")]
    [InlineData("select * from pulse.plans_in_force")]
    [InlineData("update pulse.plans_in_force set hash = ''")]
    [InlineData("update pulse.operations set status = 'succeeded'")]
    [InlineData("delete from pulse.operations")]
    [InlineData("select pulse.append_audit(now(), 'x', 'x', null, null, null, null)")]
    [InlineData("select * from pulse.purges")]
    [InlineData("insert into pulse.purge_approvals values (gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), now())")]
    [InlineData("select email_hashes from pulse.tombstones")]
    [InlineData("delete from pulse.tombstones")]
    [InlineData("update pulse.tombstones_v1 set residue_rows = 1")]
    [InlineData("select * from pulse.stripe_deletions")]
    [InlineData("select pulse.purge_rows(gen_random_uuid())")]
    [InlineData("select * from pulse.export_rows(gen_random_uuid())")]
    [InlineData("select * from pulse.residue('{}', '{}')")]
    [InlineData("select * from pulse.reaper_due(now())")]
    [InlineData("select * from messaging.outbox")]
    [InlineData("update messaging.outbox set body = ''")]
    [InlineData("delete from messaging.outbox")]
    [InlineData("select * from messaging.inbox")]
    [InlineData("insert into messaging.inbox values (gen_random_uuid(), 'x', now())")]
    [InlineData("select * from messaging.sagas")]
    [InlineData("update messaging.sagas set current_state = ''")]
    [InlineData("select * from messaging.migrations")]
    [InlineData("update pulse.idempotency_keys set signup_id = gen_random_uuid()")]
    [InlineData("delete from pulse.idempotency_keys")]
    [InlineData("delete from pulse.throttles")]
    [InlineData("truncate pulse.throttles")]
    [InlineData("select body from pulse.stripe_events")]
    [InlineData("select customer_id from pulse.stripe_events")]
    [InlineData("update pulse.stripe_events set status = 'applied'")]
    [InlineData("delete from pulse.stripe_events")]
    [InlineData("update pulse.signup_status_v1 set status = 'provisioned'")]
    [InlineData("select name from pulse.admin_keys")]
    [InlineData("insert into pulse.admin_keys values ('mine', sha256('s'), 'mine', '{keys:write}', now())")]
    [InlineData("update pulse.admin_keys set revoked_at = null")]
    [InlineData("update pulse.admin_keys set scopes = '{keys:write}'")]
    [InlineData("delete from pulse.admin_keys")]
    [InlineData("update pulse.operations set actor = 'key:other'")]
    [InlineData("insert into pulse.audit_log (at, actor, action) values (now(), 'key:other', 'changed')")]
    [InlineData("select pulse.append_audit(now(), 'key:other', 'changed', null, null, null, null)")]
    [InlineData("update pulse.audit_log set actor = 'key:other'")]
    [InlineData("delete from pulse.audit_log")]
    [InlineData("truncate pulse.audit_log")]
    [InlineData("insert into pulse.billing_overrides (override_id, org_id, effect, actor, created_at) values (gen_random_uuid(), gen_random_uuid(), 'grant', 'x', now())")]
    [InlineData("insert into pulse.billing_states (org_id, subscription_state, plan_version, updated_at) values (gen_random_uuid(), 'active', 'x', now())")]
    [InlineData("update pulse.stripe_customers set org_id = gen_random_uuid()")]
    [InlineData("update pulse.plan_versions set capabilities = '{everything}'")]
    [InlineData("update pulse.organization_names_v1 set status = 'active'")]
    [InlineData("update pulse.billing_overrides_v1 set revoked_at = now()")]
    [InlineData("select * from pulse.hook_calls")]
    [InlineData("update pulse.hook_calls set completion = 'succeeded'")]
    [InlineData("insert into pulse.hook_tokens values ('', gen_random_uuid(), now())")]
    [InlineData("select * from pulse.hook_tokens")]
    [InlineData("select body from pulse.dead_letters")]
    [InlineData("update pulse.dead_letters set status = 'resolved'")]
    [InlineData("delete from pulse.dead_letters")]
    [InlineData("update pulse.dead_letters_v1 set status = 'parked'")]
    [InlineData("update pulse.dead_letter_payloads_v1 set body = ''")]
    [InlineData("select * from pulse.dead_letter_occurrences")]
    [InlineData("delete from pulse.dead_letter_occurrences_v1")]
    [InlineData("insert into pulse.replays (replay_id, request, plan, letters, planned_by, planned_at, expires_at, changed_at) values (gen_random_uuid(), '{}', '{}', 1, 'x', now(), now(), now())")]
    [InlineData("update pulse.replays set status = 'running'")]
    [InlineData("update pulse.replay_items set active = true")]
    [InlineData("update pulse.replay_items_v1 set state = 'planned'")]
    [InlineData("select pulse.erase_dead_letters(gen_random_uuid())")]
    [InlineData("update pulse.console_sessions set expires_at = 'infinity'")]
    [InlineData("update pulse.invariant_findings set violations = 0")]
    [InlineData("delete from pulse.outbox_due_v1")]
    [InlineData("create table pulse.mine (id int)")]
    [InlineData("create table public.mine (id int)")]
    [InlineData("create temp table mine (id int)")]
    [InlineData("create schema mine")]
    [InlineData("create function pulse.mine() returns int language sql as 'select 1'")]
    [InlineData("drop table pulse.signups")]
    [InlineData("alter table pulse.throttles disable trigger all")]
    [InlineData("grant select on pulse.users to pulse_ingress")]
    [InlineData("set role pulse_worker")]
    [InlineData("set role pulse_tenant; select * from pulse.memberships")]
    [InlineData("set role pulse_tenant; select email from pulse.users")]
    [InlineData("alter role pulse_ingress inherit")]
    [InlineData("alter table pulse.memberships disable row level security")]
    [InlineData("drop policy tenant on pulse.memberships")]
    [InlineData("select pulse.isolate('pulse.memberships')")]
    [InlineData("create role mine")]
    [InlineData("alter role pulse_worker password 'mine'")]
    [InlineData("select pg_read_file('/etc/passwd')")]
    [InlineData("copy (select 1) to program 'true'")]
    public async Task The_ingress_role_may_not(string sql)
    {
        var denied = await Assert.ThrowsAsync<PostgresException>(() => RunAsync(sql));

        Assert.Equal(PostgresErrorCodes.InsufficientPrivilege, denied.SqlState);
    }

    [Theory]
    [InlineData("select signup_id, status, org_id from pulse.signup_status_v1")]
    [InlineData("insert into pulse.signups (signup_id, status, accepted_at, updated_at) values (gen_random_uuid(), 'accepted', now(), now())")]
    [InlineData("insert into pulse.idempotency_keys values (sha256('k'), sha256('b'), gen_random_uuid(), now())")]
    [InlineData("select fingerprint, signup_id from pulse.idempotency_keys")]
    [InlineData("insert into pulse.throttles values (sha256('t'), array[now()], now()) on conflict (key_hash) do update set hits = excluded.hits returning hits")]
    [InlineData("notify pulse_outbox")]
    [InlineData("listen pulse_operations")]
    [InlineData("select key_id, secret_hash, scopes, expires_at, revoked_at from pulse.admin_keys")]
    [InlineData("insert into pulse.operations (operation_id, kind, request, actor, requested_at) values (gen_random_uuid(), 'x', '{}', 'key:x', now())")]
    [InlineData("select operation_id, request, result from pulse.operations")]
    [InlineData("select * from pulse.organizations_v1, pulse.organization_names_v1, pulse.organization_owners_v1, pulse.audit_log")]
    [InlineData("select * from pulse.entitlements_v1, pulse.billing_overrides_v1, pulse.stripe_customers_v1, pulse.stripe_events_v1, pulse.plan_versions")]
    [InlineData("insert into pulse.stripe_events (event_id, effect_id, type, body, received_at) values ('evt_p', 'evt_p', 'x', '', now()) on conflict (event_id) do nothing returning event_id")]
    [InlineData("select event_id from pulse.stripe_events where status = 'applied'")]
    [InlineData("select * from pulse.tombstones_v1, pulse.reaper_list(now()), pulse.reaper_hash(now())")]
    [InlineData("select * from pulse.entitlements_v1")]
    [InlineData("select answer, call_id from pulse.complete_hook_call('', 'succeeded', null, now())")]
    [InlineData("select * from pulse.console_sessions, pulse.invariant_findings, pulse.outbox_due_v1")]
    [InlineData("listen pulse_entitlements")]
    [InlineData("select * from pulse.dead_letters_v1, pulse.dead_letter_payloads_v1, pulse.dead_letter_occurrences_v1, pulse.dead_letter_groups_v1, pulse.dead_letter_counts_v1")]
    [InlineData("select * from pulse.replays_v1, pulse.replay_items_v1")]
    [InlineData("select * from pulse.find_dead_letters('{\"queue\":\"x\",\"text\":\"a b\",\"status\":[\"parked\"],\"failed_from\":\"2026-01-01T00:00:00Z\"}', now(), gen_random_uuid(), 10)")]
    public async Task The_ingress_role_may(string sql) => await RunAsync(sql);

    [Fact]
    public async Task The_status_view_shows_no_personal_data_and_no_organization_of_a_known_email()
    {
        Assert.Equal("signup_id,status,org_id", await postgres.AskAsync<string>("""
            select string_agg(column_name, ',' order by ordinal_position) from information_schema.columns
            where table_schema = 'pulse' and table_name = 'signup_status_v1'
            """));

        await using (var command = postgres.Worker.CreateCommand("""
            insert into pulse.signups (signup_id, status, org_id, accepted_at, updated_at)
            select gen_random_uuid(), status, gen_random_uuid(), now(), now() from unnest(array['existing', 'provisioning', 'provisioned']) status
            """))
            await command.ExecuteNonQueryAsync();

        await using var seen = postgres.Ingress.CreateCommand("select string_agg(distinct status, ',') from pulse.signup_status_v1 where org_id is not null");
        Assert.Equal("provisioned", await seen.ExecuteScalarAsync());
    }

    async Task RunAsync(string sql)
    {
        await using var command = postgres.Ingress.CreateCommand(sql);
        await command.ExecuteNonQueryAsync();
    }
}
