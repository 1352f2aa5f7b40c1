using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Npgsql;
using Pulse.Worker.Invariants;
using Pulse.Worker.Lifecycle;

namespace Pulse.Tests.Lifecycle;

/// <summary>From the end of a retention to the tombstone.</summary>
public sealed class PurgeTests(LifecycleBed bed) : IClassFixture<LifecycleBed>
{
    [Fact]
    public async Task A_deleted_organization_is_exported_deprovisioned_deleted_and_certified_when_its_retention_is_over_and_not_before()
    {
        await using var worker = bed.Worker();
        var email = Some.Email;
        var org = await bed.TenantAsync(email);
        await bed.AskAsync("soft-delete", org, """{"retention_days":30}""");
        await worker.DrainAsync();
        bed.Clock.Advance(TimeSpan.FromDays(30) - TimeSpan.FromSeconds(1));
        await worker.SweepAsync();
        await worker.DrainAsync();
        Assert.Equal("pending_deletion", await bed.StatusAsync(org));

        bed.Clock.Advance(TimeSpan.FromSeconds(1));
        await worker.DrainAsync();

        Assert.Equal("purged", await bed.StatusAsync(org));
        Assert.Equal(
            ["organization_deleted", "purge_started", "organization_exported", "tenant_deprovisioned", "organization_rows_deleted", "organization_purged"],
            await bed.AuditAsync(org));
        Assert.Equal(["active→pending_deletion", "pending_deletion→purged"], worker.Moves);
        Assert.Equal("1 users, 1 memberships, 1 signups, 1 billing_states, 1 organizations, 0 residue", await bed.Postgres.AskAsync<string>("""
            select format('%s users, %s memberships, %s signups, %s billing_states, %s organizations, %s residue', counts -> 'users', counts -> 'memberships',
                counts -> 'signups', counts -> 'billing_states', counts -> 'organizations', residue_rows)
            from pulse.tombstones where org_id = $1
            """, org));
        Assert.True(await bed.Postgres.AskAsync<bool>("""
            select email_hashes = array[$2] and residue_columns > 40 and audit_seq = (select max(seq) from pulse.audit_log where org_id = $1)
            from pulse.tombstones where org_id = $1
            """, org, SHA256.HashData(Encoding.UTF8.GetBytes($"{org} {email}"))));
        Assert.Equal(0L, await bed.Postgres.AskAsync<long>("select count(*) from pulse.residue(array[$1], array[$2])", org, email));
        await NothingIsBrokenAsync();
    }

    [Fact]
    public async Task The_export_is_one_document_with_everything_but_secrets_and_the_certificate_has_its_hash()
    {
        await using var worker = bed.Worker();
        var org = await bed.TenantAsync();
        await bed.Postgres.RunAsync("update pulse.users set password_hash = 'secret-hash' where user_id in (select user_id from pulse.memberships where org_id = $1)", org);
        await bed.PurgeAsync(worker, org);

        var file = Assert.Single(Directory.GetFiles(bed.Exports, $"{org}.*.json"));
        var bytes = await File.ReadAllBytesAsync(file);
        Assert.Equal(SHA256.HashData(bytes), await bed.Postgres.AskAsync<byte[]>("select export_sha256 from pulse.tombstones where org_id = $1", org));
        Assert.DoesNotContain("secret-hash", Encoding.UTF8.GetString(bytes), StringComparison.Ordinal);
        Assert.Empty(Directory.GetFiles(bed.Exports, ".*.tmp"));
        var tables = JsonDocument.Parse(bytes).RootElement.GetProperty("tables");
        foreach (var table in (string[])["organizations", "users", "memberships", "billing_states", "signups", "operations", "audit_log"])
            Assert.NotEqual(0, tables.GetProperty(table).GetArrayLength());
    }

    [Fact]
    public async Task Without_a_place_for_exports_the_purge_waits_and_tells_unless_the_export_was_waived()
    {
        await using var worker = bed.Worker(bed.Options with { ExportDirectory = null });
        var (waits, waived) = (await bed.TenantAsync(), await bed.TenantAsync());
        await bed.PurgeAsync(worker, waits);
        await bed.PurgeAsync(worker, waived, """{"retention_days":1,"export":false}""");

        Assert.Equal("purged", await bed.StatusAsync(waived));
        Assert.Equal("purging", await bed.StatusAsync(waits));
        Assert.Equal("export_dir_missing", await bed.Postgres.AskAsync<string>("select waiting from pulse.purges where org_id = $1", waits));
        await worker.Sweeper.LookAsync(CancellationToken.None);
        Assert.Equal(1, worker.Readings.Pending().Single(pending => pending.Tags.ToArray().Single().Value is "export_dir_missing").Value);

        // The one who sets it need do nothing more.
        await using var better = bed.Worker();
        bed.Clock.Advance(TimeSpan.FromHours(2));
        await better.DrainAsync();
        Assert.Equal("purged", await bed.StatusAsync(waits));
    }

    [Fact]
    public async Task An_export_that_cannot_be_written_destroys_nothing_and_is_tried_again()
    {
        // A file where the directory should be.
        var wrong = Path.Combine(bed.Exports, "a-file");
        await File.WriteAllTextAsync(wrong, "");
        await using var worker = bed.Worker(bed.Options with { ExportDirectory = wrong });
        var org = await bed.TenantAsync();
        await bed.PurgeAsync(worker, org);

        Assert.Equal("export_failed", await bed.Postgres.AskAsync<string>("select waiting from pulse.purges where org_id = $1", org));
        Assert.Equal(1L, await bed.Postgres.AskAsync<long>("select count(*) from pulse.memberships where org_id = $1", org));

        await using var better = bed.Worker();
        bed.Clock.Advance(TimeSpan.FromHours(1));
        await better.DrainAsync();
        Assert.Equal("purged", await bed.StatusAsync(org));
        File.Delete(wrong);
    }

    [Fact]
    public async Task Who_is_a_member_elsewhere_stays_and_everything_else_of_the_organization_goes()
    {
        await using var worker = bed.Worker();
        var (email, staying) = (Some.Email, Some.Email);
        var (org, other) = (await bed.TenantAsync(email), await bed.TenantAsync(staying));
        var signup = await bed.Postgres.AskAsync<Guid>("select signup_id from pulse.signups where org_id = $1", org);
        await bed.Postgres.RunAsync("insert into pulse.memberships select $1, user_id, 'admin', created_at from pulse.memberships where org_id = $2", org, other);
        await bed.Postgres.RunAsync("insert into pulse.idempotency_keys values (sha256($1::text::bytea), sha256('b'), $2, $3)", signup.ToString(), signup, bed.Clock.GetUtcNow().UtcDateTime);
        await bed.Postgres.RunAsync("insert into pulse.signups (signup_id, email, email_normalized, org_name, status, accepted_at, updated_at) values (gen_random_uuid(), $1, $1, 'x', 'failed', $2, $2)", email, bed.Clock.GetUtcNow().UtcDateTime);
        await bed.Postgres.RunAsync("insert into messaging.sagas values ('provisioning', $1, 'Provisioned', 1, jsonb_build_object('orgId', $2::text), $3, $3)", signup, org.ToString(), bed.Clock.GetUtcNow().UtcDateTime);
        await bed.Postgres.RunAsync("insert into pulse.billing_overrides (override_id, org_id, effect, reason, actor, created_at) values (gen_random_uuid(), $1, 'grant', $2, 'key:a', $3)", org, "for " + email, bed.Clock.GetUtcNow().UtcDateTime);
        // Of a customer that says it is this organization's, of one event without any customer, and of one that names its owner.
        await bed.Postgres.RunAsync("insert into pulse.stripe_customers (customer_id, problem, created_at) values ($1, $2, $3)", "cus_q" + org.ToString("N"), $"link_conflict {org}", bed.Clock.GetUtcNow().UtcDateTime);
        foreach (var (id, body) in ((string, string)[])[("evt_a", "cus_q" + org.ToString("N")), ("evt_b", org.ToString()), ("evt_c", email)])
            await bed.Postgres.RunAsync("insert into pulse.stripe_events (event_id, effect_id, type, body, status, received_at) values ($1, $1, 'x', $2, 'ignored', $3)", id + org, Encoding.UTF8.GetBytes($$"""{"x":"{{body}}"}"""), bed.Clock.GetUtcNow().UtcDateTime);

        await bed.PurgeAsync(worker, org);

        Assert.Equal("purged", await bed.StatusAsync(org));
        Assert.Equal(1L, await bed.Postgres.AskAsync<long>("select count(*) from pulse.users u join pulse.memberships m using (user_id) where m.org_id = $1 and u.email = $2", other, staying));
        Assert.Equal("1 users, 2 memberships, 2 signups, 1 sagas, 1 keys, 1 overrides, 1 customers, 3 events", await bed.Postgres.AskAsync<string>("""
            select format('%s users, %s memberships, %s signups, %s sagas, %s keys, %s overrides, %s customers, %s events', counts -> 'users', counts -> 'memberships', counts -> 'signups',
                counts -> 'sagas', counts -> 'idempotency_keys', counts -> 'billing_overrides', counts -> 'stripe_customers', counts -> 'stripe_events')
            from pulse.tombstones where org_id = $1
            """, org));
    }

    [Fact]
    public async Task What_is_left_is_found_wherever_it_is_and_there_is_no_certificate_until_it_is_gone()
    {
        await using var worker = bed.Worker();
        var email = $"Ünï.{Guid.NewGuid():N}@example.org";
        var org = await bed.TenantAsync(email);
        // A slice that forgot to tell of its table.
        await bed.Postgres.RunAsync("create table pulse.forgotten (number integer, note text, raw bytea, more jsonb, who uuid[])");
        await bed.Postgres.RunAsync("insert into pulse.forgotten values (1, null, convert_to($2, 'UTF8'), null, null), (2, null, null, jsonb_build_object('a', $1::text), null), (3, 'write to ' || upper($2), null, null, null), (4, null, null, null, array[$1])", org, email.ToLowerInvariant());
        await bed.PurgeAsync(worker, org);

        Assert.Equal("residue", await bed.Postgres.AskAsync<string>("select waiting from pulse.purges where org_id = $1", org));
        Assert.Equal(["forgotten.more", "forgotten.note", "forgotten.raw", "forgotten.who"], await bed.Postgres.AskAsync<string[]>(
            "select array_agg(place order by place) from pulse.residue(array[$1], (select emails from pulse.purges where org_id = $1))", org));

        await bed.Postgres.RunAsync("drop table pulse.forgotten");
        bed.Clock.Advance(TimeSpan.FromHours(2));
        await worker.DrainAsync();
        Assert.Equal("purged", await bed.StatusAsync(org));
    }

    [Fact]
    public async Task One_look_serves_all_that_wait_and_adds_no_message_to_those_that_have_their_own()
    {
        await using var worker = bed.Worker();
        var certify = await UpToCertificateAsync(worker, 3);
        var purges = certify.Select(PurgeOf).ToList();
        // Something is left of the second.
        await bed.Postgres.RunAsync("create table pulse.forgotten_by (who uuid)");
        await bed.Postgres.RunAsync("insert into pulse.forgotten_by select org_id from pulse.purges where purge_id = $1", purges[1]);
        await worker.DeliverAsync(certify[0]);
        Assert.Equal([purges[1]], await LeftAsync());
        Assert.Equal(0, await bed.Postgres.AskAsync<int>("select attempts from pulse.purges where purge_id = $1", purges[1]));
        Assert.Equal(2, (await worker.WaitingAsync()).Count(IsCertify));

        // The third was served already, so its message looks for nobody.
        await bed.Postgres.RunAsync("drop table pulse.forgotten_by");
        await worker.DeliverAsync(certify[2]);
        Assert.Equal([purges[1]], await LeftAsync());
        await worker.DeliverAsync(certify[1]);
        Assert.Empty(await LeftAsync());

        Task<Guid[]> LeftAsync() => bed.Postgres.AskAsync<Guid[]>("select array(select purge_id from pulse.purges where purge_id = any($1))", purges.ToArray());
    }

    [Fact]
    public async Task While_another_looks_a_purge_is_put_off_instead_of_waiting_and_comes_again()
    {
        await using var worker = bed.Worker();
        var certify = Assert.Single(await UpToCertificateAsync(worker, 1));
        await using (var other = await bed.Billing.Data.OpenConnectionAsync())
        {
            await using var looking = await other.BeginTransactionAsync();
            await using (var command = new NpgsqlCommand("select pg_advisory_xact_lock(5711900611840364406)", other, looking))
                await command.ExecuteNonQueryAsync();
            await worker.DeliverAsync(certify).WaitAsync(TimeSpan.FromSeconds(30));
        }

        // Put off is no try that failed.
        Assert.Equal("certify 0", await AtAsync());
        Assert.DoesNotContain(await worker.WaitingAsync(), IsCertify);
        bed.Clock.Advance(TimeSpan.FromSeconds(3));
        await worker.DrainAsync();
        Assert.Null(await AtAsync());

        Task<string?> AtAsync() => bed.Postgres.AskAsync<string?>("select concat_ws(' ', step, attempts, waiting) from pulse.purges where purge_id = $1", PurgeOf(certify));
    }

    /// <summary>New organizations, due and purged but for the certificate.</summary>
    /// <returns>The messages that would bring it, one for each.</returns>
    async Task<List<Waiting>> UpToCertificateAsync(LifecycleWorker worker, int organizations)
    {
        for (var made = 0; made < organizations; made++)
            await bed.AskAsync("soft-delete", await bed.TenantAsync(), """{"retention_days":1}""");
        await worker.DrainAsync();
        bed.Clock.Advance(TimeSpan.FromDays(1));
        List<Waiting> certify;
        while ((certify = [.. (await worker.WaitingAsync()).Where(IsCertify)]).Count < organizations)
        {
            foreach (var other in (await worker.WaitingAsync()).Where(message => !IsCertify(message)))
                await worker.DeliverAsync(other);
        }

        return certify;
    }

    static Guid PurgeOf(Waiting message) => JsonDocument.Parse(message.Body).RootElement.GetProperty("message").GetProperty("purgeId").GetGuid();

    static bool IsCertify(Waiting message) => message.Exchange.EndsWith(":CertifyPurge", StringComparison.Ordinal);

    [Fact]
    public async Task What_Stripe_tells_after_the_purge_brings_nothing_back_and_is_forgotten()
    {
        await using var worker = bed.Worker();
        var account = bed.Billing.Stripe.Account;
        var org = await bed.TenantAsync();
        var customer = account.CreateCustomer(orgId: org.ToString()).Id;
        var subscription = account.Subscribe(customer, "price_basic", orgId: org.ToString()).Id;
        var billing = bed.Billing.Worker();
        await FollowAsync();
        await bed.PurgeAsync(worker, org);
        Assert.Equal("purged", await bed.StatusAsync(org));

        account.Cancel(subscription);
        await FollowAsync();
        Assert.Equal("purged", await bed.Billing.ProblemAsync(customer));
        await worker.SweepAsync();
        Assert.Equal(0L, await bed.Postgres.AskAsync<long>("select count(*) from pulse.stripe_events where customer_id = $1", customer));
        Assert.Equal(0L, await bed.Postgres.AskAsync<long>("select count(*) from pulse.residue(array[$1], '{}')", org));

        async Task FollowAsync()
        {
            await billing.DeliverAsync(bed.Billing.EventsOf(customer)[^1]);
            await billing.DrainAsync();
        }
    }

    [Fact]
    public async Task A_command_that_comes_after_the_rows_are_gone_is_refused_and_leaves_nothing()
    {
        await using var worker = bed.Worker();
        var org = await bed.TenantAsync();
        await bed.AskAsync("soft-delete", org, """{"retention_days":1}""");
        await worker.DrainAsync();
        bed.Clock.Advance(TimeSpan.FromDays(1));
        var late = await bed.AskAsync("restore", org, """{"reason":"x"}""");
        foreach (var _ in Enumerable.Range(0, 20))
        {
            foreach (var message in (await worker.WaitingAsync()).Where(message => !message.Exchange.EndsWith("RestoreOrganization", StringComparison.Ordinal)))
                await worker.DeliverAsync(message);
        }

        Assert.Equal("pending", await bed.EndAsync(late));
        await worker.DrainAsync();
        Assert.Equal("not_found", await bed.EndAsync(late));
        bed.Clock.Advance(TimeSpan.FromMinutes(10));
        await worker.DrainAsync();
        Assert.Equal("purged", await bed.StatusAsync(org));
        Assert.Equal(0L, await bed.Postgres.AskAsync<long>("select count(*) from pulse.residue(array[$1], '{}')", org));
    }

    [Fact]
    public async Task A_legal_hold_that_somebody_wrote_into_the_database_stops_the_rows_even_then()
    {
        await using var worker = bed.Worker();
        worker.Deprovisions = false;
        var org = await bed.TenantAsync();
        await bed.PurgeAsync(worker, org);
        Assert.Equal("purging", await bed.StatusAsync(org));
        await bed.Postgres.RunAsync("update pulse.organizations set legal_hold_at = $2 where org_id = $1", org, bed.Clock.GetUtcNow().UtcDateTime);

        var refused = await Assert.ThrowsAsync<PostgresException>(() => bed.Postgres.RunAsync("select pulse.purge_rows($1)", org));
        Assert.Equal(PostgresErrorCodes.RestrictViolation, refused.SqlState);
        Assert.Equal(1L, await bed.Postgres.AskAsync<long>("select count(*) from pulse.memberships where org_id = $1", org));
        await bed.Postgres.RunAsync("update pulse.organizations set legal_hold_at = null where org_id = $1", org);
        worker.Deprovisions = true;
        bed.Clock.Advance(TimeSpan.FromHours(1));
        await worker.SweepAsync();
        await worker.DrainAsync();
        Assert.Equal("purged", await bed.StatusAsync(org));
    }

    [Fact]
    public async Task Whatever_dies_between_two_steps_or_within_one_and_however_often_it_comes_it_is_one_purge()
    {
        await using var worker = bed.Worker();
        var org = await bed.TenantAsync();
        await bed.AskAsync("soft-delete", org, """{"retention_days":1}""");
        bed.Clock.Advance(TimeSpan.FromSeconds(1));
        for (var round = 0; await bed.StatusAsync(org) != "purged"; round++)
        {
            Assert.InRange(round, 0, 50);
            foreach (var message in await worker.WaitingAsync())
            {
                await worker.DeliverAsync(message, Fate.DiesBeforeCommit);
                await worker.DeliverAsync(message, Fate.DiesAfterCommit);
                Assert.False(await worker.DeliverAsync(message));
            }

            if (await bed.StatusAsync(org) == "pending_deletion")
                bed.Clock.Advance(TimeSpan.FromDays(1));
            // Another message for the same step, as the sweep publishes it.
            await worker.SweepAsync();
            bed.Clock.Advance(TimeSpan.FromMinutes(11));
        }

        Assert.Equal(
            ["organization_deleted", "purge_started", "organization_exported", "tenant_deprovisioned", "organization_rows_deleted", "organization_purged"],
            await bed.AuditAsync(org));
        await worker.DrainAsync();
        Assert.Single(worker.Moves, "pending_deletion→purged");
        await NothingIsBrokenAsync();
    }

    async Task NothingIsBrokenAsync()
    {
        var scope = new InvariantScope
        {
            Now = bed.Clock.GetUtcNow(),
            UnfinishedAfter = TimeSpan.FromMinutes(15),
            OutboxAfter = TimeSpan.FromSeconds(60),
            InboxKept = TimeSpan.FromDays(44),
        };
        var names = (string[])["tombstones_of_the_living", "purges_standing_still", "purges_half_begun", "orphan_organizations", "orphan_parts", "orphan_users", "signups_and_organizations"];
        var findings = await InvariantTable.CheckAsync(bed.Billing.Data, scope, CancellationToken.None);
        Assert.Equal(names.Length, findings.Count(finding => names.Contains(finding.Invariant.Name)));
        Assert.All(findings.Where(finding => names.Contains(finding.Invariant.Name)), finding => Assert.True(finding.Holds, finding.Invariant.Name));
    }
}
