using Npgsql;

namespace Pulse.Worker.Provisioning;

/// <summary>Statements on signups that are not the tenant's making.</summary>
static class SignupTable
{
    const string FailSql = """
        update pulse.signups set status = 'failed', updated_at = $2
        where signup_id = $1 and status not in ('provisioned', 'existing')
        """;

    public static NpgsqlBatchCommand Fail(Guid signupId, DateTime now) => new(FailSql)
    {
        Parameters = { new NpgsqlParameter<Guid> { TypedValue = signupId }, new NpgsqlParameter<DateTime> { TypedValue = now } },
    };

    public sealed record Overdue(Guid SignupId, DateTime AcceptedAt, int Attempt);

    // SKIP LOCKED: workers that sweep at the same time share the work, and a signup that is being provisioned right now is let be.
    const string ClaimOverdueSql = """
        update pulse.signups set attempts = attempts + 1, updated_at = $1
        where signup_id in (
            select signup_id from pulse.signups
            where status in ('accepted', 'awaiting_verification', 'provisioning') and updated_at < $2
            order by updated_at
            limit $3
            for update skip locked)
        returning signup_id, accepted_at, attempts
        """;

    /// <summary>Counts one more attempt for signups that nothing happened to since <paramref name="before"/>.</summary>
    public static async Task<List<Overdue>> ClaimOverdueAsync(
        NpgsqlConnection connection, DateTime now, DateTime before, int limit, CancellationToken cancellationToken)
    {
        await using var command = new NpgsqlCommand(ClaimOverdueSql, connection);
        command.Parameters.Add(new NpgsqlParameter<DateTime> { TypedValue = now });
        command.Parameters.Add(new NpgsqlParameter<DateTime> { TypedValue = before });
        command.Parameters.Add(new NpgsqlParameter<int> { TypedValue = limit });
        var overdue = new List<Overdue>();
        await using var row = await command.ExecuteReaderAsync(cancellationToken);
        while (await row.ReadAsync(cancellationToken))
            overdue.Add(new Overdue(row.GetGuid(0), row.GetDateTime(1), row.GetInt32(2)));
        return overdue;
    }

    const string ForgetSql = "delete from pulse.idempotency_keys where created_at < $1";

    const string ForgetHitsSql = "delete from pulse.throttles where expires_at < $1";

    /// <summary>Idempotency keys made before <paramref name="keysBefore"/>, and hits that no limit counts any more.</summary>
    public static IEnumerable<NpgsqlBatchCommand> Forget(DateTime keysBefore, DateTime now) =>
    [
        new(ForgetSql) { Parameters = { new NpgsqlParameter<DateTime> { TypedValue = keysBefore } } },
        new(ForgetHitsSql) { Parameters = { new NpgsqlParameter<DateTime> { TypedValue = now } } },
    ];
}
