using Npgsql;

namespace Pulse.Ingress.Authz;

/// <summary>Who is what in an organization, read as the tenant: Postgres shows nothing of any other.</summary>
static class MembershipTable
{
    // Of this transaction only. The batch is one: both are gone when the connection goes back to its pool.
    const string EnterSql = "select set_config('role', 'pulse_tenant', true), set_config('pulse.org_id', $1, true)";

    // Without the organization: the policy on the table has it.
    const string RoleSql = "select role from pulse.memberships where user_id = $1";

    /// <summary>One round trip.</summary>
    /// <returns>owner, admin, editor or viewer; null: no member, or no such organization.</returns>
    public static async Task<string?> RoleAsync(NpgsqlDataSource dataSource, Guid orgId, Guid userId, CancellationToken cancellationToken)
    {
        await using var batch = dataSource.CreateBatch();
        batch.BatchCommands.Add(new NpgsqlBatchCommand(EnterSql) { Parameters = { new NpgsqlParameter<string> { TypedValue = orgId.ToString() } } });
        batch.BatchCommands.Add(new NpgsqlBatchCommand(RoleSql) { Parameters = { new NpgsqlParameter<Guid> { TypedValue = userId } } });
        await using var row = await batch.ExecuteReaderAsync(cancellationToken);
        await row.NextResultAsync(cancellationToken);
        return await row.ReadAsync(cancellationToken) ? row.GetString(0) : null;
    }
}
