using System.Diagnostics;
using Npgsql;

namespace Pulse.Bench;

/// <summary>
/// Both real processes: 2 000 signups as fast as they are taken, from the first request to the last tenant; then 20 a second for
/// 20 seconds, for the time that one takes.
/// </summary>
static class ProvisioningBenchmark
{
    const int Signups = 2_000;
    const int Ahead = 500;
    const int PerSecond = 20;
    static readonly TimeSpan Length = TimeSpan.FromSeconds(20);

    public static async Task<Outcome> RunAsync(Bench bench)
    {
        await bench.Servers.StartProcessesAsync();
        await using var dataSource = bench.Servers.OpenPulse();
        using var client = new SignupClient(bench.Servers.Ingress, connections: 32);

        var pulse = new Side($"{Signups} signups at once, then {PerSecond} a second for {Length.TotalSeconds:0} s; ingress, worker, RabbitMQ, Postgres");
        var rows = new Side("the same rows by Npgsql alone in two transactions a tenant, 16 connections; no HTTP, no broker, no limits");
        await PulseDatabase.QuietAsync(dataSource, TimeSpan.FromMinutes(2));
        await bench.AlternateAsync(
            async () =>
            {
                await BurstAsync(bench, dataSource, client);
                await BurstAsync(bench, dataSource, client);
                await RowsAsync(bench, dataSource);
            },
            (pulse, async () =>
            {
                var burst = await BurstAsync(bench, dataSource, client);
                var steady = await ProvisioningLatency.MeasureAsync(dataSource, client, PerSecond, Length);
                await PulseDatabase.QuietAsync(dataSource, TimeSpan.FromMinutes(1));
                return burst.Concat(steady);
            }
        ),
            (rows, () => RowsAsync(bench, dataSource)));

        if (bench.Options.Statements)
            await Statements.PrintAsync(bench, () => BurstAsync(bench, dataSource, client));

        return new Outcome { Measured = pulse, Bound = rows, Ratio = new Ratio("tenants per second", "tenants per second") };
    }

    const string UnfinishedSql = "select count(*) from pulse.signups where status in ('accepted', 'awaiting_verification', 'provisioning')";

    static async Task<IEnumerable<Value>> BurstAsync(Bench bench, NpgsqlDataSource dataSource, SignupClient client)
    {
        await PulseDatabase.EmptyAsync(bench, dataSource);
        // Emptied tables make every connection plan its statements anew, as nothing does in production.
        await Load.ClosedAsync(connections: 32, Ahead, () => client.SignUpAsync());
        await PulseDatabase.QuietAsync(dataSource, TimeSpan.FromMinutes(1));
        var measurement = Measurement.Of(bench.Servers, "worker", "ingress");
        var statements = await Statements.CountAsync(bench, "pulse");
        var transaction = await dataSource.NextTransactionAsync();

        var from = measurement.Read();
        var accepted = await Load.ClosedAsync(connections: 32, Signups, () => client.SignUpAsync());
        // All are accepted by now, so none unfinished is all provisioned. Counted in an index that holds only those, and not often:
        // looking costs Postgres time as well.
        await dataSource.UntilAsync(UnfinishedSql, left => left == 0, TimeSpan.FromMilliseconds(50), TimeSpan.FromMinutes(3));
        var to = measurement.Read();

        // What follows a tenant's making (its event, that event's consumer) belongs to its price.
        await PulseDatabase.QuietAsync(dataSource, TimeSpan.FromMinutes(1));
        var transactions = await dataSource.NextTransactionAsync() - transaction;
        statements = await Statements.CountAsync(bench, "pulse") - statements;
        var tenants = await dataSource.AskAsync<long>("select count(*) from pulse.organizations where not is_default");
        if (tenants != Ahead + Signups)
            throw new BenchmarkException($"{Ahead + Signups} signups became {tenants} tenants.");

        return
        [
            .. measurement.Cost(from, to, Signups, "tenants"),
            new Value("commits per tenant", "", (double)transactions / Signups),
            new Value("statements per tenant, BEGIN and COMMIT counted", "", (double)statements / Signups),
            .. accepted.Percentiles("accepted after, in the burst"),
        ];
    }

    const string SignupSql = """
        insert into pulse.signups (signup_id, email, email_normalized, org_name, status, accepted_at, updated_at)
        values ($1, $2, $2, $3, 'accepted', $4, $4)
        """;

    const string TenantSql = """
        with owner as (
            insert into pulse.users (user_id, email, email_normalized, created_at)
            select $2, email, email_normalized, $4 from pulse.signups where signup_id = $1
            on conflict (email_normalized) do nothing returning user_id),
        org as (
            insert into pulse.organizations (org_id, name, status, created_at)
            select $3, org_name, 'active', $4 from pulse.signups, owner where signup_id = $1 returning org_id),
        membership as (
            insert into pulse.memberships (org_id, user_id, role, created_at) select org_id, user_id, 'owner', $4 from org, owner),
        trial as (
            insert into pulse.billing_states (org_id, subscription_state, plan_version, trial_ends_at, updated_at)
            select org_id, 'trial', 'trial', $4, $4 from org)
        update pulse.signups set status = 'provisioned', org_id = $3, email = null, email_normalized = null, org_name = null, updated_at = $4
        where signup_id = $1
        """;

    static async Task<IEnumerable<Value>> RowsAsync(Bench bench, NpgsqlDataSource dataSource)
    {
        await PulseDatabase.EmptyAsync(bench, dataSource);
        var person = 0;
        var at = Stopwatch.GetTimestamp();
        await Load.ClosedAsync(connections: 16, Signups, async () =>
        {
            var number = Interlocked.Increment(ref person);
            var signup = Guid.CreateVersion7();
            var now = DateTime.UtcNow;
            await dataSource.RunAsync(SignupSql, signup, $"rows-{number}@bench.example", $"Organization {number}", now);
            await dataSource.RunAsync(TenantSql, signup, Guid.CreateVersion7(), Guid.CreateVersion7(), now);
        });
        return [new Value("tenants per second", "1/s", Signups / Stopwatch.GetElapsedTime(at).TotalSeconds)];
    }
}
