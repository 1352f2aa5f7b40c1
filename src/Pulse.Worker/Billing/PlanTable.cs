using System.Text.Json;
using Npgsql;
using NpgsqlTypes;
using Pulse.Catalog;

namespace Pulse.Worker.Billing;

/// <summary>Statements on the plans as everybody else sees them.</summary>
static class PlanTable
{
    // First, so that its row lock lets one worker after the other write the plans.
    const string InForceSql = """
        insert into pulse.plans_in_force (hash, loaded_at) values ($1, $2)
        on conflict (only_row) do update set hash = excluded.hash, loaded_at = excluded.loaded_at
        """;

    const string PutSql = """
        insert into pulse.plan_versions (plan_version, capabilities, limits, meters, grace_days)
        select plan_version, capabilities, limits, meters, grace_days
        from jsonb_to_recordset($1) as plan (plan_version text, capabilities text[], limits jsonb, meters text[], grace_days integer)
        on conflict (plan_version) do update
        set capabilities = excluded.capabilities, limits = excluded.limits, meters = excluded.meters, grace_days = excluded.grace_days
        """;

    const string DropSql = "delete from pulse.plan_versions where plan_version <> all($1)";

    /// <summary>Makes <c>plan_versions</c> what these plans are.</summary>
    public static async Task PutInForceAsync(NpgsqlDataSource dataSource, Plans plans, DateTimeOffset now, CancellationToken cancellationToken)
    {
        // Not begun, the batch is a transaction by itself.
        await using var batch = dataSource.CreateBatch();
        batch.BatchCommands.Add(new NpgsqlBatchCommand(InForceSql)
        {
            Parameters = { new NpgsqlParameter<string> { TypedValue = BillingRules.InForce(plans) }, new NpgsqlParameter<DateTime> { TypedValue = now.UtcDateTime } },
        });
        batch.BatchCommands.Add(new NpgsqlBatchCommand(PutSql)
        {
            Parameters = { new NpgsqlParameter { Value = JsonSerializer.Serialize(plans.All, Canonical.Json), NpgsqlDbType = NpgsqlDbType.Jsonb } },
        });
        batch.BatchCommands.Add(new NpgsqlBatchCommand(DropSql)
        {
            Parameters = { new NpgsqlParameter<string[]> { TypedValue = [.. plans.All.Select(plan => plan.PlanVersion)] } },
        });
        await batch.ExecuteNonQueryAsync(cancellationToken);
    }
}
