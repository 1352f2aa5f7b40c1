using Npgsql;
using NpgsqlTypes;
using Pulse.Messaging;
using Pulse.Messaging.Sagas;

namespace Pulse.Worker.Hooks;

/// <summary>The statements on calls of the platform's hook.</summary>
static class HookCallTable
{
    const string Columns =
        "call_id, type, org_id, signup_id, purge_id, status, fence, lease_until, attempts, unknown, next_at, deadline, seed, completion, created_at";

    // The second part sees what was there before the first: nothing of a call that is new, or that another makes at this moment.
    const string OpenSql = """
        with opened as (
            insert into pulse.hook_calls (call_id, type, org_id, signup_id, purge_id, next_at, deadline, seed, created_at, updated_at, attempts)
            values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9, $10)
            on conflict (call_id) do nothing)
        select status from pulse.hook_calls where call_id = $1
        """;

    /// <summary>Makes a call, unless it is there.</summary>
    /// <returns>The status that it had already; null for a new one.</returns>
    public static Task<string?> OpenAsync(MessageTransaction transaction, NewHookCall call, CancellationToken cancellationToken) =>
        transaction.QueryAsync(Open(call), async (row, cancellation) => await row.ReadAsync(cancellation) ? row.GetString(0) : null, cancellationToken);

    /// <summary>The same on the connection of a transaction, when nobody wants to know.</summary>
    public static async Task OpenAsync(NpgsqlConnection connection, NewHookCall call, CancellationToken cancellationToken)
    {
        await using var batch = new NpgsqlBatch(connection) { BatchCommands = { Open(call) } };
        await batch.ExecuteNonQueryAsync(cancellationToken);
    }

    static NpgsqlBatchCommand Open(NewHookCall call) => new(OpenSql)
    {
        Parameters =
        {
            Value(call.CallId), Value(call.Type), Value(call.OrgId), Id(call.SignupId), Id(call.PurgeId),
            Value(call.NextAt.UtcDateTime), Time(call.Deadline), Value(CallbackToken.NewSeed()), Value(call.CreatedAt.UtcDateTime), Value(call.Attempts),
        },
    };

    // A row is left behind also where there is none: the call that this forestalls may be on its way still.
    const string CloseSql = """
        insert into pulse.hook_calls as call (call_id, type, org_id, signup_id, status, next_at, deadline, seed, created_at, updated_at, ended_at, outcome)
        values ($1, 'provision', $2, $3, 'failed', $4, $4, '', $4, $4, $4, 'given_up')
        on conflict (call_id) do update
        set status = 'failed', outcome = 'given_up', fence = call.fence + 1, lease_until = null, ended_at = $4, updated_at = $4
        where call.status in ('pending', 'waiting')
        """;

    /// <summary>Ends a provision, with the commit, unless it has ended. Who is calling at this moment stores nothing any more.</summary>
    public static void Close(MessageTransaction transaction, Guid callId, Guid orgId, Guid signupId, DateTimeOffset now) =>
        transaction.Defer(new NpgsqlBatchCommand(CloseSql) { Parameters = { Value(callId), Value(orgId), Value(signupId), Value(now.UtcDateTime) } });

    // One statement, committed before the call: whoever comes now finds it taken. The attempt counts as one of which nobody knows what it did,
    // until its outcome says otherwise, and a worker that dies has none.
    const string LeaseSql = $"""
        update pulse.hook_calls
        set lease_until = $3, fence = fence + 1, attempts = attempts + 1, unknown = unknown + 1, updated_at = $2
        where call_id = $1 and status = 'pending' and completion is null and next_at <= $2
          and not coalesce(lease_until > $2, false) and not coalesce(deadline <= $2, false)
        returning {Columns}
        """;

    /// <summary>Takes a call that is due.</summary>
    /// <returns>Null when there is nothing to take.</returns>
    public static async Task<HookCall?> LeaseAsync(
        NpgsqlDataSource dataSource, Guid callId, DateTimeOffset now, DateTimeOffset until, CancellationToken cancellationToken)
    {
        await using var command = dataSource.CreateCommand(LeaseSql);
        command.Parameters.AddRange(new NpgsqlParameter[] { Value(callId), Value(now.UtcDateTime), Value(until.UtcDateTime) });
        await using var row = await command.ExecuteReaderAsync(cancellationToken);
        return await row.ReadAsync(cancellationToken) ? Read(row) : null;
    }

    const string OfferSql = """
        insert into pulse.hook_tokens (token_hash, call_id, expires_at) values ($1, $2, $3)
        on conflict (token_hash) do update set expires_at = greatest(hook_tokens.expires_at, excluded.expires_at)
        """;

    /// <summary>Lets the call be completed by who has the token.</summary>
    public static async Task OfferAsync(NpgsqlDataSource dataSource, byte[] tokenHash, Guid callId, DateTimeOffset expiresAt, CancellationToken cancellationToken)
    {
        await using var command = dataSource.CreateCommand(OfferSql);
        command.Parameters.AddRange(new NpgsqlParameter[] { Value(tokenHash), Value(callId), Value(expiresAt.UtcDateTime) });
        await command.ExecuteNonQueryAsync(cancellationToken);
    }

    const string ReleaseSql = "update pulse.hook_calls set lease_until = null, updated_at = $3 where call_id = $1 and fence = $2";

    /// <summary>Lets go of a call of which nothing could be stored.</summary>
    public static async Task ReleaseAsync(NpgsqlDataSource dataSource, HookCall call, DateTimeOffset now, CancellationToken cancellationToken)
    {
        await using var command = dataSource.CreateCommand(ReleaseSql);
        command.Parameters.AddRange(new NpgsqlParameter[] { Value(call.CallId), Value(call.Fence), Value(now.UtcDateTime) });
        await command.ExecuteNonQueryAsync(cancellationToken);
    }

    const string LockSql = $"select {Columns} from pulse.hook_calls where call_id = $1 for update";

    /// <returns>Null: there is no such call.</returns>
    public static async Task<HookCall?> LockAsync(NpgsqlConnection connection, Guid callId, CancellationToken cancellationToken)
    {
        await using var command = new NpgsqlCommand(LockSql, connection) { Parameters = { Value(callId) } };
        await using var row = await command.ExecuteReaderAsync(cancellationToken);
        return await row.ReadAsync(cancellationToken) ? Read(row) : null;
    }

    // Not when another took it since, and not past what the platform told meanwhile: that has its own message.
    const string StoreSql = """
        update pulse.hook_calls
        set status = $4, next_at = coalesce($5, next_at), unknown = $6, outcome = $7, fence = fence + 1, lease_until = null,
            ended_at = case when $4 in ('succeeded', 'failed') then $8::timestamptz end, updated_at = $8
        where call_id = $1 and fence = $2 and completion is not distinct from $3 and status in ('pending', 'waiting')
        """;

    /// <returns>False when another has the say.</returns>
    public static async Task<bool> StoreAsync(
        NpgsqlConnection connection, HookCall call, string status, HookDecision decision, DateTimeOffset now, CancellationToken cancellationToken)
    {
        await using var command = new NpgsqlCommand(StoreSql, connection)
        {
            Parameters =
            {
                Value(call.CallId), Value(call.Fence), Text(call.Completion), Value(status), Time(decision.At), Value(decision.Unknown),
                Value(decision.Outcome), Value(now.UtcDateTime),
            },
        };
        return await command.ExecuteNonQueryAsync(cancellationToken) == 1;
    }

    // What nobody moves on: its timer or its message was lost, in a dead-letter queue perhaps. Or there are many, and its message waits its turn:
    // so each is driven on no more often than it becomes overdue, by one worker, or sweeps would make the queue longer that they wait for.
    const string ClaimOverdueSql = """
        update pulse.hook_calls set updated_at = $2
        where call_id in (
            select call_id from pulse.hook_calls
            where status in ('pending', 'waiting') and (next_at < $1 or completed_at < $1) and updated_at < $1 and not coalesce(lease_until >= $1, false)
            order by next_at
            limit $3
            for update skip locked)
        returning call_id
        """;

    /// <summary>Takes the calls that were due before <paramref name="before"/>, and that nothing happened to since.</summary>
    public static async Task<List<Guid>> ClaimOverdueAsync(
        NpgsqlConnection connection, DateTimeOffset now, DateTimeOffset before, int limit, CancellationToken cancellationToken)
    {
        await using var command = new NpgsqlCommand(ClaimOverdueSql, connection) { Parameters = { Value(before.UtcDateTime), Value(now.UtcDateTime), Value(limit) } };
        var overdue = new List<Guid>();
        await using var row = await command.ExecuteReaderAsync(cancellationToken);
        while (await row.ReadAsync(cancellationToken))
            overdue.Add(row.GetGuid(0));
        return overdue;
    }

    const string WaitingSql = """
        select type, count(*), min(created_at) from pulse.hook_calls where status in ('pending', 'waiting') group by type
        """;

    public static async Task<IReadOnlyList<(string Type, long Count, DateTime Oldest)>> WaitingAsync(NpgsqlDataSource dataSource, CancellationToken cancellationToken)
    {
        await using var command = dataSource.CreateCommand(WaitingSql);
        var waiting = new List<(string, long, DateTime)>();
        await using var row = await command.ExecuteReaderAsync(cancellationToken);
        while (await row.ReadAsync(cancellationToken))
            waiting.Add((row.GetString(0), row.GetInt64(1), row.GetDateTime(2)));
        return waiting;
    }

    // In small pieces, so that a long backlog holds no long locks. Tokens go with their call.
    const string PruneSql = """
        delete from pulse.hook_calls where call_id = any(array(
            select call_id from pulse.hook_calls where ended_at < $1 limit $2))
        """;

    /// <returns>How many were deleted; fewer than <paramref name="limit"/> when none is left.</returns>
    public static async Task<int> PruneAsync(NpgsqlDataSource dataSource, DateTimeOffset before, int limit, CancellationToken cancellationToken)
    {
        await using var command = dataSource.CreateCommand(PruneSql);
        command.Parameters.AddRange(new NpgsqlParameter[] { Value(before.UtcDateTime), Value(limit) });
        return await command.ExecuteNonQueryAsync(cancellationToken);
    }

    static HookCall Read(NpgsqlDataReader row)
    {
        return new HookCall
        {
            CallId = row.GetGuid(0),
            Type = row.GetString(1),
            OrgId = row.GetGuid(2),
            SignupId = row.IsDBNull(3) ? null : row.GetGuid(3),
            PurgeId = row.IsDBNull(4) ? null : row.GetGuid(4),
            Status = row.GetString(5),
            Fence = row.GetInt64(6),
            LeaseUntil = At(7),
            Attempts = row.GetInt32(8),
            Unknown = row.GetInt32(9),
            NextAt = At(10)!.Value,
            Deadline = At(11),
            Seed = row.GetFieldValue<byte[]>(12),
            Completion = row.IsDBNull(13) ? null : row.GetString(13),
            CreatedAt = At(14)!.Value,
        };

        DateTimeOffset? At(int column) => row.IsDBNull(column) ? null : new DateTimeOffset(row.GetDateTime(column), TimeSpan.Zero);
    }

    static NpgsqlParameter<T> Value<T>(T value) => new() { TypedValue = value };

    static NpgsqlParameter Id(Guid? id) => new() { Value = (object?)id ?? DBNull.Value, NpgsqlDbType = NpgsqlDbType.Uuid };

    static NpgsqlParameter Text(string? text) => new() { Value = (object?)text ?? DBNull.Value, NpgsqlDbType = NpgsqlDbType.Text };

    static NpgsqlParameter Time(DateTimeOffset? time) => new() { Value = time is { } at ? at.UtcDateTime : DBNull.Value, NpgsqlDbType = NpgsqlDbType.TimestampTz };
}

/// <summary>A call that is to be there.</summary>
sealed record NewHookCall
{
    public required Guid CallId { get; init; }
    public required string Type { get; init; }
    public required Guid OrgId { get; init; }
    public Guid? SignupId { get; init; }
    public Guid? PurgeId { get; init; }
    public required DateTimeOffset NextAt { get; init; }
    public DateTimeOffset? Deadline { get; init; }
    public required DateTimeOffset CreatedAt { get; init; }

    /// <summary>Of the call that this one goes on for: the waits grow on.</summary>
    public int Attempts { get; init; }

    public static NewHookCall ForProvision(Guid orgId, Guid signupId, DateTimeOffset deadline, DateTimeOffset now) => new()
    {
        CallId = Of(orgId, HookCall.Provision),
        Type = HookCall.Provision,
        OrgId = orgId,
        SignupId = signupId,
        NextAt = now,
        Deadline = deadline,
        CreatedAt = now,
    };

    /// <summary>Takes back what a signup left behind.</summary>
    public static NewHookCall ForOrphan(Guid orgId, Guid signupId, DateTimeOffset notBefore, DateTimeOffset now) => new()
    {
        CallId = Of(orgId, HookCall.Deprovision),
        Type = HookCall.Deprovision,
        OrgId = orgId,
        SignupId = signupId,
        NextAt = notBefore,
        CreatedAt = now,
    };

    public static NewHookCall ForPurge(Guid orgId, Guid purgeId, DateTimeOffset now) => new()
    {
        CallId = Of(purgeId, HookCall.Deprovision),
        Type = HookCall.Deprovision,
        OrgId = orgId,
        PurgeId = purgeId,
        NextAt = now,
        CreatedAt = now,
    };

    /// <summary>Begins a deprovision anew that the platform says has failed: under a key of its own, or it would be told again what it was told.</summary>
    public static NewHookCall After(HookCall failed, DateTimeOffset notBefore, DateTimeOffset now) => new()
    {
        CallId = StepId.Of(failed.CallId, "hook-again"),
        Type = failed.Type,
        OrgId = failed.OrgId,
        SignupId = failed.SignupId,
        PurgeId = failed.PurgeId,
        NextAt = notBefore,
        CreatedAt = now,
        Attempts = failed.Attempts,
    };

    static Guid Of(Guid saga, string type) => type == HookCall.Provision
        ? StepId.Of(saga, "hook-provision")
        : StepId.Of(saga, "hook-deprovision");
}
