using Npgsql;
using Pulse.Messaging;

namespace Pulse.Worker.Provisioning;

/// <summary>The rows of a new tenant.</summary>
static class TenantTable
{
    /// <param name="OrgId">The tenant; null when the email was known.</param>
    public sealed record Outcome(string Status, Guid? OrgId);

    // One statement, so that a tenant is one round trip and is there whole or not at all.
    //
    // The owner's unique email decides: a known one inserts no owner, and everything else hangs on the owner's row, so a
    // signup with an existing customer's email writes nothing but its own end. Two signups with one email at the same time
    // meet in that unique index: the second waits for the first and then finds the email known.
    //
    // A signup that has ended already is only read, which makes the statement repeatable.
    const string CreateSql = """
        with signup as (
            select signup_id, email, email_normalized, org_name, password_hash, status
            from pulse.signups where signup_id = $1 for update),
        pending as (
            select * from signup where status not in ('provisioned', 'existing')),
        owner as (
            insert into pulse.users (user_id, email, email_normalized, password_hash, created_at)
            select $3, email, email_normalized, password_hash, $4 from pending
            on conflict (email_normalized) do nothing
            returning user_id),
        org as (
            insert into pulse.organizations (org_id, name, status, created_at)
            select $2, pending.org_name, 'active', $4 from pending, owner
            returning org_id),
        membership as (
            insert into pulse.memberships (org_id, user_id, role, created_at)
            select org.org_id, owner.user_id, 'owner', $4 from org, owner),
        trial as (
            insert into pulse.billing_states (org_id, subscription_state, plan_version, trial_ends_at, next_boundary_at, updated_at)
            select org.org_id, 'trial', 'trial', $5, $5, $4 from org),
        ended as (
            -- From here on the tenant's own rows hold the personal data, or nobody does.
            update pulse.signups s
            set status = case when exists (select from org) then 'provisioned' else 'existing' end,
                org_id = (select org_id from org),
                email = null, email_normalized = null, org_name = null, password_hash = null,
                updated_at = $4
            from pending where s.signup_id = pending.signup_id
            returning s.status, s.org_id)
        select status, org_id from ended
        union all
        select s.status, s.org_id from pulse.signups s join signup using (signup_id) where not exists (select from pending)
        """;

    // What the platform's hook is called for, nothing is written of yet: a tenant that it refuses was never there. A known email ends here, so that
    // nothing is made for it; of two new signups with one email both go on, and the second is taken back in the end.
    const string BeginSql = """
        with signup as (
            select signup_id, status, exists (select from pulse.users u where u.email_normalized = s.email_normalized) as known
            from pulse.signups s where signup_id = $1 for update),
        begun as (
            update pulse.signups s
            set status = case when signup.known then 'existing' else 'provisioning' end,
                email = case when not signup.known then email end,
                email_normalized = case when not signup.known then email_normalized end,
                org_name = case when not signup.known then org_name end,
                password_hash = case when not signup.known then password_hash end,
                updated_at = $2
            from signup where s.signup_id = signup.signup_id and signup.status not in ('provisioned', 'existing')
            returning s.status)
        select status, null::uuid from begun
        union all
        select s.status, s.org_id from pulse.signups s join signup using (signup_id) where not exists (select from begun)
        """;

    /// <summary>Begins what the platform's hook is part of.</summary>
    /// <returns>Status provisioning, or how the signup has ended; null when there is no such signup.</returns>
    public static Task<Outcome?> BeginAsync(MessageTransaction transaction, Guid signupId, DateTimeOffset now, CancellationToken cancellationToken) =>
        transaction.QueryAsync(
            new NpgsqlBatchCommand(BeginSql)
            {
                Parameters = { new NpgsqlParameter<Guid> { TypedValue = signupId }, new NpgsqlParameter<DateTime> { TypedValue = now.UtcDateTime } },
            },
            async (row, cancellation) => await row.ReadAsync(cancellation) ? new Outcome(row.GetString(0), row.IsDBNull(1) ? null : row.GetGuid(1)) : null,
            cancellationToken);

    /// <returns>How the signup ended; null when there is no such signup.</returns>
    public static async Task<Outcome?> CreateAsync(
        NpgsqlConnection connection, Guid signupId, Guid orgId, Guid ownerId, DateTimeOffset now, DateTimeOffset trialEndsAt,
        CancellationToken cancellationToken)
    {
        await using var command = new NpgsqlCommand(CreateSql, connection);
        command.Parameters.Add(new NpgsqlParameter<Guid> { TypedValue = signupId });
        command.Parameters.Add(new NpgsqlParameter<Guid> { TypedValue = orgId });
        command.Parameters.Add(new NpgsqlParameter<Guid> { TypedValue = ownerId });
        command.Parameters.Add(new NpgsqlParameter<DateTime> { TypedValue = now.UtcDateTime });
        command.Parameters.Add(new NpgsqlParameter<DateTime> { TypedValue = trialEndsAt.UtcDateTime });
        await using var row = await command.ExecuteReaderAsync(cancellationToken);
        return await row.ReadAsync(cancellationToken)
            ? new Outcome(row.GetString(0), row.IsDBNull(1) ? null : row.GetGuid(1))
            : null;
    }
}
