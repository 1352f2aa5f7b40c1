using System.Text.Json;
using Npgsql;
using NpgsqlTypes;
using Pulse.Catalog;

namespace Pulse.Worker.Billing;

/// <summary>What an organization may do, as it stands after <see cref="EntitlementTable.RecomputeAsync"/>.</summary>
/// <param name="Current">In force now.</param>
/// <param name="Changed">The version is a new one: publish EntitlementsChanged.</param>
sealed record Entitlements(Guid OrgId, long Version, Segment Current, bool Changed);

/// <summary>Statements on what organizations may do.</summary>
static class EntitlementTable
{
    sealed record Stored(
        long Version, IReadOnlyList<Segment>? Timeline, Segment? Underlying, DateTimeOffset TrialEndsAt, DateTimeOffset CreatedAt, DateTimeOffset? NextBoundaryAt, string? PlansHash)
    {
        public required IReadOnlyList<Canonical> Customers { get; init; }
        public required IReadOnlyList<BillingOverride> Overrides { get; init; }
    }

    /// <summary>
    /// Computes an organization's entitlements and stores them where they differ, with an audit row, under the lock of its
    /// billing_states row, in the caller's transaction. The caller publishes EntitlementsChanged.
    /// </summary>
    /// <param name="connection">In a transaction, which takes no other lock after this: the audit log is locked up to its end.</param>
    /// <param name="orgId">The organization.</param>
    /// <param name="plans">What is sold.</param>
    /// <param name="now">The time.</param>
    /// <param name="verified">
    /// Its canonicals are what Stripe said just now. Then a price without a plan is an <see cref="UnknownPriceException"/>; otherwise
    /// the subscription keeps what it had, marked stale: neither an override nor a boundary must fail for it.
    /// </param>
    /// <param name="actor">Who brought it about, for the audit log.</param>
    /// <param name="cause">By what: an operation, an event.</param>
    /// <param name="cancellationToken">Ends the waiting for the lock.</param>
    /// <returns>Null: there is no such organization, or it is the platform's own.</returns>
    public static async Task<Entitlements?> RecomputeAsync(
        NpgsqlConnection connection, Guid orgId, Plans plans, DateTimeOffset now, bool verified, string actor, string cause, CancellationToken cancellationToken)
    {
        // No more than JSON and Postgres keep alike.
        now = now.AddTicks(-(now.Ticks % TimeSpan.TicksPerMicrosecond));
        if (await ReadAsync(connection, orgId, now, cancellationToken) is not { } stored)
        {
            await MakeAsync(connection, orgId, now, cancellationToken);
            stored = await ReadAsync(connection, orgId, now, cancellationToken);
            if (stored is null)
                return null;
        }

        var underlying = BillingRules.Underlying(stored.Customers, stored.TrialEndsAt, stored.Underlying, plans, now, keepUnknownPrices: !verified);
        var timeline = BillingRules.Timeline(stored.Customers, stored.Overrides, stored.TrialEndsAt, stored.Underlying, plans, now, keepUnknownPrices: !verified);

        // What entitlements_v1 shows of an organization that nothing was ever stored for.
        var before = stored.Timeline ?? BillingRules.Timeline([], [], stored.TrialEndsAt, null, plans, stored.CreatedAt);
        if (before.At(now) is var current && current.SaysTheSameAs(timeline[0]))
            timeline = [timeline[0] with { From = current.From }, .. timeline.Skip(1)];

        var changed = !before.SaysTheSameAs(timeline);
        var version = changed ? stored.Version + 1 : stored.Version;
        var kept = changed ? timeline : stored.Timeline;
        var next = timeline.Count > 1 ? timeline[1].From : (DateTimeOffset?)null;

        await using var batch = new NpgsqlBatch(connection);
        if (kept is null)
        {
            // Still as it began, and still read from the trial plan as that is at the time of reading.
            if (verified || stored.NextBoundaryAt != next)
                batch.BatchCommands.Add(Update(orgId, version, null, null, timeline[0], next, null, verified ? now : null, null));
        }
        else if (changed || verified || stored.NextBoundaryAt != next || stored.PlansHash != BillingRules.InForce(plans) || stored.Underlying?.SaysTheSameAs(underlying) != true)
        {
            batch.BatchCommands.Add(Update(orgId, version, kept, underlying, timeline[0], next, BillingRules.InForce(plans), verified ? now : null, changed ? now : null));
        }

        // Last: the audit log is locked from here to the transaction's end.
        if (changed)
            batch.BatchCommands.Add(Audit(now, actor, orgId, BillingState.Of(before, stored.Version), BillingState.Of(timeline, version), cause));
        if (batch.BatchCommands.Count > 0)
            await batch.ExecuteNonQueryAsync(cancellationToken);
        return new Entitlements(orgId, version, timeline[0], changed);
    }

    // Fourteen days are what provisioning gives: a row without an end of its trial, a restored one perhaps, gets the same.
    const string LockSql = """
        select b.version, b.timeline::text, b.underlying::text, coalesce(b.trial_ends_at, o.created_at + interval '14 days'), o.created_at, b.next_boundary_at, b.plans_hash
        from pulse.billing_states b join pulse.organizations o using (org_id)
        where b.org_id = $1 and not o.is_default
        for update of b
        """;

    // A statement of its own: begun after the lock was got, it sees what the holder before committed.
    const string InputsSql = """
        select
            (select coalesce(jsonb_agg(canonical), '[]') from pulse.stripe_customers where org_id = $1 and canonical is not null)::text,
            (select coalesce(jsonb_agg(jsonb_build_object('id', override_id, 'effect', effect, 'state', state, 'created_at', created_at, 'expires_at', expires_at)), '[]')
             from pulse.billing_overrides where org_id = $1 and revoked_at is null and (expires_at is null or expires_at > $2))::text
        """;

    static async Task<Stored?> ReadAsync(NpgsqlConnection connection, Guid orgId, DateTimeOffset now, CancellationToken cancellationToken)
    {
        await using var batch = new NpgsqlBatch(connection)
        {
            BatchCommands =
            {
                new NpgsqlBatchCommand(LockSql) { Parameters = { new NpgsqlParameter<Guid> { TypedValue = orgId } } },
                new NpgsqlBatchCommand(InputsSql)
                {
                    Parameters = { new NpgsqlParameter<Guid> { TypedValue = orgId }, new NpgsqlParameter<DateTime> { TypedValue = now.UtcDateTime } },
                },
            },
        };
        await using var row = await batch.ExecuteReaderAsync(cancellationToken);
        if (!await row.ReadAsync(cancellationToken))
            return null;

        var stored = new Stored(
            row.GetInt64(0), Json<IReadOnlyList<Segment>>(1), Json<Segment>(2), Time(3)!.Value, Time(4)!.Value, Time(5), row.IsDBNull(6) ? null : row.GetString(6))
        {
            Customers = [],
            Overrides = [],
        };
        await row.NextResultAsync(cancellationToken);
        await row.ReadAsync(cancellationToken);
        return stored with { Customers = Json<IReadOnlyList<Canonical>>(0)!, Overrides = Json<IReadOnlyList<BillingOverride>>(1)! };

        DateTimeOffset? Time(int column) => row.IsDBNull(column) ? null : new DateTimeOffset(row.GetDateTime(column), TimeSpan.Zero);

        T? Json<T>(int column)
            where T : class => row.IsDBNull(column) ? null : JsonSerializer.Deserialize<T>(row.GetString(column), Canonical.Json);
    }

    // Provisioning makes it together with the organization; without one there would be nothing to lock.
    const string MakeSql = """
        insert into pulse.billing_states (org_id, subscription_state, plan_version, trial_ends_at, next_boundary_at, updated_at)
        select org_id, 'trial', 'trial', created_at + interval '14 days', created_at + interval '14 days', $2
        from pulse.organizations where org_id = $1 and not is_default
        on conflict (org_id) do nothing
        """;

    static async Task MakeAsync(NpgsqlConnection connection, Guid orgId, DateTimeOffset now, CancellationToken cancellationToken)
    {
        await using var command = new NpgsqlCommand(MakeSql, connection);
        command.Parameters.Add(new NpgsqlParameter<Guid> { TypedValue = orgId });
        command.Parameters.Add(new NpgsqlParameter<DateTime> { TypedValue = now.UtcDateTime });
        await command.ExecuteNonQueryAsync(cancellationToken);
    }

    const string UpdateSql = """
        update pulse.billing_states
        set version = $2, timeline = $3, underlying = $4, subscription_state = $5, plan_version = $6, next_boundary_at = $7, plans_hash = $8,
            verified_at = coalesce($9, verified_at), updated_at = coalesce($10, updated_at)
        where org_id = $1
        """;

    static NpgsqlBatchCommand Update(
        Guid orgId, long version, IReadOnlyList<Segment>? timeline, Segment? underlying, Segment current, DateTimeOffset? next, string? plansHash,
        DateTimeOffset? verifiedAt, DateTimeOffset? changedAt) => new(UpdateSql)
        {
            Parameters =
            {
                new NpgsqlParameter<Guid> { TypedValue = orgId },
                new NpgsqlParameter<long> { TypedValue = version },
                Json(timeline),
                Json(underlying),
                new NpgsqlParameter<string> { TypedValue = current.State },
                new NpgsqlParameter<string> { TypedValue = current.PlanVersion },
                Time(next),
                new NpgsqlParameter { Value = (object?)plansHash ?? DBNull.Value, NpgsqlDbType = NpgsqlDbType.Text },
                Time(verifiedAt),
                Time(changedAt),
            },
        };

    const string AuditSql = "select pulse.append_audit($1, $2, $3, $4, $5, $6, $7)";

    /// <summary>One row for the audit log.</summary>
    public static NpgsqlBatchCommand Audit(
        DateTimeOffset at, string actor, Guid orgId, object? before, object? after, string cause, string action = "billing_state_changed") => new(AuditSql)
        {
            Parameters =
            {
                new NpgsqlParameter<DateTime> { TypedValue = at.UtcDateTime },
                new NpgsqlParameter<string> { TypedValue = actor },
                new NpgsqlParameter<string> { TypedValue = action },
                new NpgsqlParameter<Guid> { TypedValue = orgId },
                Json(before),
                Json(after),
                new NpgsqlParameter<string> { TypedValue = cause },
            },
        };

    // SKIP LOCKED: workers share the work, and an organization that is being computed at this moment announces its boundary itself.
    const string ClaimAtBoundarySql = """
        select org_id from pulse.billing_states
        where next_boundary_at <= $1 and org_id <> all($2)
        order by next_boundary_at
        limit $3
        for update skip locked
        """;

    /// <summary>Locks organizations whose next boundary has come.</summary>
    public static Task<List<Guid>> ClaimAtBoundaryAsync(
        NpgsqlConnection connection, DateTimeOffset now, Guid[] except, int limit, CancellationToken cancellationToken) =>
        ClaimAsync(
            new NpgsqlCommand(ClaimAtBoundarySql, connection)
            {
                Parameters = { new NpgsqlParameter<DateTime> { TypedValue = now.UtcDateTime }, new NpgsqlParameter<Guid[]> { TypedValue = except }, new NpgsqlParameter<int> { TypedValue = limit } },
            },
            cancellationToken);

    // Two ranges of an index, which <> is not. Only while these plans are in force: with two files, two workers would not come to an end.
    const string ClaimOfOtherPlansSql = """
        select org_id from pulse.billing_states
        where (plans_hash < $1 or plans_hash > $1) and org_id <> all($2)
          and exists (select from pulse.plans_in_force where hash = $1)
        limit $3
        for update skip locked
        """;

    /// <summary>Locks organizations that were computed with other plans than those in force.</summary>
    public static Task<List<Guid>> ClaimOfOtherPlansAsync(
        NpgsqlConnection connection, string plansHash, Guid[] except, int limit, CancellationToken cancellationToken) =>
        ClaimAsync(
            new NpgsqlCommand(ClaimOfOtherPlansSql, connection)
            {
                Parameters = { new NpgsqlParameter<string> { TypedValue = plansHash }, new NpgsqlParameter<Guid[]> { TypedValue = except }, new NpgsqlParameter<int> { TypedValue = limit } },
            },
            cancellationToken);

    static async Task<List<Guid>> ClaimAsync(NpgsqlCommand command, CancellationToken cancellationToken)
    {
        await using (command)
        {
            var claimed = new List<Guid>();
            await using var row = await command.ExecuteReaderAsync(cancellationToken);
            while (await row.ReadAsync(cancellationToken))
                claimed.Add(row.GetGuid(0));
            return claimed;
        }
    }

    static NpgsqlParameter Json(object? value) => new()
    {
        Value = value is null ? DBNull.Value : JsonSerializer.Serialize(value, Canonical.Json),
        NpgsqlDbType = NpgsqlDbType.Jsonb,
    };

    static NpgsqlParameter Time(DateTimeOffset? time) => new()
    {
        Value = time is null ? DBNull.Value : time.Value.UtcDateTime,
        NpgsqlDbType = NpgsqlDbType.TimestampTz,
    };
}
