using Dapper;
using Npgsql;

namespace Pulse.Demo;

/// <summary>What the database knows of a tenant. Read by the worker's role, past the API.</summary>
static class TenantRows
{
    public sealed record Tenant(string OrgName, string OrgStatus, string Email, string Role, string SubscriptionState, DateTime CreatedAt, DateTime TrialEndsAt);

    const string FindSql = """
        select o.name as OrgName, o.status as OrgStatus, u.email as Email, m.role as Role,
               b.subscription_state as SubscriptionState, o.created_at as CreatedAt, b.trial_ends_at as TrialEndsAt
        from pulse.organizations o
        join pulse.memberships m using (org_id)
        join pulse.users u using (user_id)
        join pulse.billing_states b using (org_id)
        where o.org_id = @orgId
        """;

    public static async Task<IReadOnlyList<Tenant>> Find(NpgsqlDataSource postgres, Guid orgId)
    {
        await using var connection = await postgres.OpenConnectionAsync();
        return [.. await connection.QueryAsync<Tenant>(FindSql, new { orgId })];
    }

    // Every column of every row, also of rows that a second signup would have added for the same person.
    const string SnapshotSql = """
        with persons as (select user_id from pulse.memberships where org_id = @orgId),
             orgs as (select org_id from pulse.memberships where user_id in (select user_id from persons))
        select 'organizations ' || to_jsonb(o)::text from pulse.organizations o where org_id in (select org_id from orgs)
        union all
        select 'users ' || to_jsonb(u)::text from pulse.users u where user_id in (select user_id from persons)
        union all
        select 'memberships ' || to_jsonb(m)::text from pulse.memberships m where user_id in (select user_id from persons)
        union all
        select 'billing_states ' || to_jsonb(b)::text from pulse.billing_states b where org_id in (select org_id from orgs)
        order by 1
        """;

    public static async Task<IReadOnlyList<string>> Snapshot(NpgsqlDataSource postgres, Guid orgId)
    {
        await using var connection = await postgres.OpenConnectionAsync();
        return [.. await connection.QueryAsync<string>(SnapshotSql, new { orgId })];
    }

    public sealed record Saga(string CurrentState, int Version, string Body);

    const string SagaSql = """
        select current_state as CurrentState, version as Version, body::text as Body
        from messaging.sagas
        where saga = 'provisioning' and correlation_id = @signupId
        """;

    public static async Task<Saga?> FindSaga(NpgsqlDataSource postgres, Guid signupId)
    {
        await using var connection = await postgres.OpenConnectionAsync();
        return await connection.QuerySingleOrDefaultAsync<Saga>(SagaSql, new { signupId });
    }

    const string WaitingSql = "select count(*) from messaging.outbox where convert_from(body, 'UTF8') like '%' || @signupId || '%'";

    /// <summary>How many messages of a signup are not on the broker yet.</summary>
    public static async Task<long> CountWaiting(NpgsqlDataSource postgres, Guid signupId)
    {
        await using var connection = await postgres.OpenConnectionAsync();
        return await connection.ExecuteScalarAsync<long>(WaitingSql, new { signupId = signupId.ToString() });
    }

    const string LeftSql = "select coalesce(sum(found), 0)::bigint from pulse.residue(array[@orgId], array[lower(@email)])";

    /// <summary>How many rows of the whole database have an organization's id or an email.</summary>
    public static async Task<long> CountLeft(NpgsqlDataSource postgres, Guid orgId, string email)
    {
        await using var connection = await postgres.OpenConnectionAsync();
        return await connection.ExecuteScalarAsync<long>(LeftSql, new { orgId, email });
    }

    public sealed record Counts(long ActiveTenants, long OrganizationsOfName);

    const string CountsSql = """
        select (select count(*) from pulse.organizations where status = 'active' and not is_default) as ActiveTenants,
               (select count(*) from pulse.organizations where name = @orgName) as OrganizationsOfName
        """;

    public static async Task<Counts> Count(NpgsqlDataSource postgres, string orgName = "")
    {
        await using var connection = await postgres.OpenConnectionAsync();
        return await connection.QuerySingleAsync<Counts>(CountsSql, new { orgName });
    }
}
