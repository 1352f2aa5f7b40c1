using System.Diagnostics;
using Microsoft.AspNetCore.Identity;
using Pulse.EndToEnd.Processes;
using Pulse.Testing;

namespace Pulse.EndToEnd.Signups;

/// <summary>From the public's request to the tenant's rows.</summary>
public sealed class TenantTests(RunningPulse pulse) : RunningPulseTests(pulse)
{
    [Fact]
    public async Task A_signup_becomes_a_tenant()
    {
        var signup = Some.Signup with { Email = $"Founder.{Some.Email}", Password = Some.Password };
        var id = await Pulse.AcceptedAsync(signup);
        var org = await Pulse.EndsAsync(id, "provisioned");

        Assert.Equal(signup.OrgName, await Pulse.AskAsync<string>("select name from pulse.organizations where org_id = $1 and status = 'active' and not is_default", org!));
        var owner = await Pulse.AskAsync<string[]>("""
            select array[u.email, u.email_normalized, u.password_hash, m.role]
            from pulse.memberships m join pulse.users u using (user_id) where m.org_id = $1
            """, org!);
        Assert.Equal([signup.Email, signup.Email.ToLowerInvariant(), owner[2], "owner"], owner);
        Assert.NotEqual(PasswordVerificationResult.Failed, new PasswordHasher<object>().VerifyHashedPassword(new(), owner[2], signup.Password));
        Assert.Equal(PasswordVerificationResult.Failed, new PasswordHasher<object>().VerifyHashedPassword(new(), owner[2], signup.Password + "!"));
        // 01: PBKDF2 with HMAC-SHA512 and a salt of its own, as PasswordHasher writes it.
        Assert.Equal(0x01, Convert.FromBase64String(owner[2])[0]);
    }

    [Fact]
    public async Task A_tenant_has_a_trial_of_fourteen_days()
    {
        var org = await Pulse.EndsAsync(await Pulse.AcceptedAsync(Some.Signup), "provisioned");

        Assert.True(await Pulse.AskAsync<bool>("""
            select b.subscription_state = 'trial' and b.trial_ends_at - o.created_at = interval '14 days'
            from pulse.billing_states b join pulse.organizations o using (org_id) where org_id = $1
            """, org!));
    }

    [Fact]
    public async Task A_signup_that_has_ended_keeps_no_personal_data()
    {
        var id = await Pulse.AcceptedAsync(Some.Signup with { Password = Some.Password });
        var org = await Pulse.EndsAsync(id, "provisioned");

        Assert.True(await Pulse.AskAsync<bool>("""
            select num_nulls(email, email_normalized, org_name, password_hash) = 4 and org_id = $2 from pulse.signups where signup_id = $1
            """, id, org!));
        Assert.Equal("Provisioned", await Pulse.AskAsync<string>("select current_state from messaging.sagas where saga = 'provisioning' and correlation_id = $1", id));
    }

    [Fact]
    public async Task A_signup_is_counted_in_both_processes()
    {
        // What the tests before did must be counted first. Whose tenant was purged has no saga any more.
        await Eventually.Until(
            async () => await Pulse.AskAsync<bool>("""
                select (select count(*) from messaging.inbox where consumer_id = 'metrics')
                    >= (select count(*) from messaging.sagas where current_state in ('Provisioned', 'Failed'))
                """) && await Pulse.ReadyAsync("metrics") is 0 && (await ReadAsync()).Tenants == await Pulse.AskAsync<long>("select count(*) from pulse.organizations where status = 'active' and not is_default"),
            TimeSpan.FromSeconds(60), "nothing is left to count");
        var before = await ReadAsync();
        await Pulse.EndsAsync(await Pulse.AcceptedAsync(Some.Signup), "provisioned");

        // The worker counts when it consumes its own event, and reads the gauge every few seconds.
        await Eventually.Until(
            async () => await ReadAsync() == (before.Signups + 1, before.Provisions + 1, before.Timed + 1, before.Tenants + 1),
            TimeSpan.FromSeconds(30), "signups, provisions, their time and the tenants each moved by one");

        async Task<(double? Signups, double? Provisions, double? Timed, double? Tenants)> ReadAsync()
        {
            var ingress = await Pulse.ScrapeAsync(Pulse.Ingress);
            var worker = await Pulse.ScrapeAsync(Pulse.Worker);
            return (RunningPulse.Value(ingress, "pulse_hosted_signups_total"),
                RunningPulse.Value(worker, """pulse_hosted_provisions_total{status="success"}"""),
                RunningPulse.Value(worker, "pulse_hosted_provisioning_seconds_count") ?? 0,
                RunningPulse.Value(worker, "pulse_hosted_active_tenants"));
        }
    }

    [Fact]
    public async Task Promtool_finds_nothing_wrong_with_the_metrics()
    {
        await Pulse.EndsAsync(await Pulse.AcceptedAsync(Some.Signup), "provisioned");
        foreach (var process in new[] { Pulse.Ingress, Pulse.Worker })
        {
            var page = await Pulse.ScrapeAsync(process);
            Assert.EndsWith("\n", page, StringComparison.Ordinal);
            // Where there is no promtool, the page is checked by Pulse.Tests alone.
            if (!(Environment.GetEnvironmentVariable("PATH") ?? "").Split(':').Any(folder => File.Exists(Path.Combine(folder, "promtool"))))
                continue;

            using var promtool = Process.Start(new ProcessStartInfo("promtool", ["check", "metrics"])
            {
                RedirectStandardInput = true,
                RedirectStandardError = true,
                RedirectStandardOutput = true,
            })!;
            var said = Task.WhenAll(promtool.StandardOutput.ReadToEndAsync(), promtool.StandardError.ReadToEndAsync());
            await promtool.StandardInput.WriteAsync(page);
            promtool.StandardInput.Close();
            Assert.Equal("", string.Concat(await said).Trim());
            await promtool.WaitForExitAsync();
            Assert.Equal(0, promtool.ExitCode);
        }
    }

    [Fact]
    public async Task A_signup_with_a_known_email_touches_nothing_of_the_tenant()
    {
        var first = Some.Signup with { Password = Some.Password };
        var org = await Pulse.EndsAsync(await Pulse.AcceptedAsync(first), "provisioned");
        var before = await SnapshotAsync();
        var all = await CountsAsync();

        // In other letters, with another name and another password.
        var second = await Pulse.AcceptedAsync(Some.Signup with { Email = first.Email!.ToUpperInvariant(), Password = Some.Password });
        Assert.Null(await Pulse.EndsAsync(second, "existing"));

        Assert.Equal(before, await SnapshotAsync());
        Assert.Equal(all, await CountsAsync());

        // xmin is the transaction that wrote the row last: it also tells of an update to the same values.
        Task<string> SnapshotAsync() => Pulse.AskAsync<string>("""
            with members as (select user_id from pulse.memberships where org_id = $1)
            select string_agg(line, E'\n' order by line) from (
                select 'organization ' || xmin || ' ' || o::text as line from pulse.organizations o where org_id = $1
                union all
                select 'user ' || xmin || ' ' || u::text from pulse.users u where user_id in (select user_id from members)
                union all
                select 'membership ' || xmin || ' ' || m::text from pulse.memberships m where user_id in (select user_id from members)
                union all
                select 'billing ' || xmin || ' ' || b::text from pulse.billing_states b where org_id = $1) lines
            """, org!);

        Task<string> CountsAsync() => Pulse.AskAsync<string>("""
            select concat_ws(' ', (select count(*) from pulse.organizations), (select count(*) from pulse.users),
                (select count(*) from pulse.memberships), (select count(*) from pulse.billing_states))
            """);
    }

    [Fact]
    public async Task Signups_with_one_email_at_the_same_time_make_one_organization()
    {
        var email = Some.Email;
        // Three an hour count for one email; the rest is accepted without effect, so that nobody can tell.
        var signups = await Task.WhenAll(Enumerable.Range(0, 20).Select(_ => Pulse.AcceptedAsync(Some.Signup with { Email = email })));
        await EndedAsync(signups);

        Assert.Equal(1, await Pulse.CountAsync(signups, "provisioned"));
        Assert.Equal(19, await Pulse.CountAsync(signups, "existing"));
        Assert.Equal("1 1 1", await Pulse.AskAsync<string>("""
            select concat_ws(' ', count(distinct user_id), count(*), count(distinct org_id))
            from pulse.users join pulse.memberships using (user_id) join pulse.organizations using (org_id) where email_normalized = $1
            """, email));
        Assert.Equal(1L, await Pulse.AskAsync<long>("select count(distinct org_id) from pulse.signups where signup_id = any($1) and org_id is not null", signups));
    }

    Task EndedAsync(Guid[] signups) => Eventually.Until(
        async () => await Pulse.AskAsync<long>("select count(*) from pulse.signups where signup_id = any($1) and status in ('provisioned', 'existing', 'failed')", signups) == signups.Length,
        TimeSpan.FromSeconds(60), "every signup ended");
}
