using System.Text.Json;
using Npgsql;
using NpgsqlTypes;
using Pulse.Contracts.DeadLetters;

namespace Pulse.Worker.DeadLetters;

/// <summary>Statements on which letters a command is about, and on plans.</summary>
static class PlanTable
{
    const string FindSql = """
        select dead_letter_id from pulse.find_dead_letters($1 || jsonb_build_object('status', $2::text[]), null, null, $3)
        """;

    /// <summary>
    /// The letters of a request. Of a filter: what the command is for, up to the cap, and apart from it some of what it is not for, to say so.
    /// </summary>
    /// <param name="connection">In a transaction.</param>
    /// <param name="filter">Null for ids.</param>
    /// <param name="ids">Null for a filter.</param>
    /// <param name="wanted">The statuses that the command is for.</param>
    /// <param name="cancellationToken">Ends it.</param>
    /// <returns>Capped: there are more than <see cref="PlanRequest.Most"/> of them.</returns>
    public static async Task<(Guid[] Ids, bool Capped)> FindAsync(
        NpgsqlConnection connection, DeadLetterFilter? filter, IReadOnlyList<Guid>? ids, IReadOnlyList<string> wanted, CancellationToken cancellationToken)
    {
        if (filter is null)
            return ([.. (ids ?? []).Distinct()], false);

        var asked = filter.Status is { Count: > 0 } some ? some : [.. DeadLetterStatus.All.Except([DeadLetterStatus.Resolved])];
        var found = await FindAsync([.. asked.Intersect(wanted)], PlanRequest.Most + 1);
        var others = await FindAsync([.. asked.Except(wanted)], PlanRequest.MostIds);
        // Newest first.
        return ([.. found.Take(PlanRequest.Most), .. others], found.Count > PlanRequest.Most);

        async Task<List<Guid>> FindAsync(string[] statuses, int most)
        {
            await using var command = new NpgsqlCommand(FindSql, connection)
            {
                Parameters =
                {
                    Json(JsonSerializer.Serialize(filter)), new NpgsqlParameter<string[]> { TypedValue = statuses }, new NpgsqlParameter<int> { TypedValue = most },
                },
            };
            var letters = new List<Guid>();
            await using var row = await command.ExecuteReaderAsync(cancellationToken);
            while (await row.ReadAsync(cancellationToken))
                letters.Add(row.GetGuid(0));
            return letters;
        }
    }

    const string InsertSql = """
        insert into pulse.replays (replay_id, request, plan, letters, planned_by, planned_at, expires_at, changed_at)
        values ($1, $2, '{}', 0, $3, $4, $5, $4)
        """;

    // Why a letter can't be replayed; null for one that can. The oldest failure goes first.
    const string ItemsSql = """
        with judged as materialized (
            select f.dead_letter_id, d.last_failed_at, case
                when d.dead_letter_id is null then 'gone'
                when d.body_cut then 'body_cut'
                when d.status = 'discarded' then case when d.edited_into is null then 'discarded' else 'edited' end
                when d.status = 'resolved' then 'resolved'
                when d.status in ('queued', 'replayed')
                    or exists (select from pulse.replay_items i where i.dead_letter_id = d.dead_letter_id and i.active) then 'in_active_replay'
                when d.status = 'quarantined' and not $2 then 'quarantined' end as why
            from unnest($3::uuid[]) as f (dead_letter_id) left join pulse.dead_letters d using (dead_letter_id)),
        items as (
            insert into pulse.replay_items (replay_id, position, dead_letter_id)
            select $1, row_number() over (order by last_failed_at, dead_letter_id), dead_letter_id from judged where why is null)
        select coalesce(why, ''), count(*)::integer, (array_agg(dead_letter_id order by last_failed_at desc, dead_letter_id))[1:10]
        from judged group by why order by count(*) desc
        """;

    const string GroupsSql = """
        select d.fingerprint, d.queue, d.message_type, d.exception_type, count(*)::integer
        from pulse.replay_items i join pulse.dead_letters d using (dead_letter_id)
        where i.replay_id = $1 group by 1, 2, 3, 4 order by count(*) desc, 1, 2 limit 50
        """;

    const string StoreSql = "update pulse.replays set plan = $2, letters = $3 where replay_id = $1";

    /// <summary>Freezes what was found as a plan.</summary>
    public static async Task<ReplayState> PlanAsync(
        NpgsqlConnection connection, Guid replayId, PlanRequest request, Guid[] ids, bool capped, string actor, DateTimeOffset now, CancellationToken cancellationToken)
    {
        var expiresAt = now + ReplayRules.PlanLasts;
        await RunAsync(
            connection, InsertSql, cancellationToken, Id(replayId), Json(JsonSerializer.Serialize(request)), new NpgsqlParameter<string> { TypedValue = actor },
            Time(now), Time(expiresAt));

        var judged = await JudgeAsync(
            connection, ItemsSql, cancellationToken, Id(replayId), new NpgsqlParameter<bool> { TypedValue = request.IncludeQuarantined && request.Ids is not null },
            new NpgsqlParameter<Guid[]> { TypedValue = ids });
        var planned = judged.Find(part => part.Why.Length == 0);
        var plan = new ReplayPlan
        {
            Found = judged.Sum(part => part.Letters),
            Capped = capped,
            Groups = await GroupsAsync(connection, replayId, cancellationToken),
            Samples = planned?.Samples ?? [],
            Excluded = judged.FindAll(part => part.Why.Length > 0),
        };
        var letters = planned?.Letters ?? 0;
        await RunAsync(
            connection, StoreSql, cancellationToken, Id(replayId), Json(JsonSerializer.Serialize(plan)), new NpgsqlParameter<int> { TypedValue = letters });
        return new ReplayState { ReplayId = replayId, Status = ReplayStatus.Planned, Letters = letters, ExpiresAt = expiresAt, Plan = plan };
    }

    const string DropSql = "delete from pulse.replays where replay_id = $1";

    /// <summary>Drops a plan that has no letters.</summary>
    public static Task DropAsync(NpgsqlConnection connection, Guid replayId, CancellationToken cancellationToken) =>
        RunAsync(connection, DropSql, cancellationToken, Id(replayId));

    const string LockSql = "select status, letters, expires_at, plan::text, paused_in, coalesce((request ->> 'include_quarantined')::boolean, false) from pulse.replays where replay_id = $1 for update";

    /// <summary>Locks a replay.</summary>
    /// <returns>Null: there is none.</returns>
    public static async Task<(ReplayState State, string? PausedIn, bool Quarantined)?> LockAsync(NpgsqlConnection connection, Guid replayId, CancellationToken cancellationToken)
    {
        await using var command = new NpgsqlCommand(LockSql, connection) { Parameters = { Id(replayId) } };
        await using var row = await command.ExecuteReaderAsync(cancellationToken);
        if (!await row.ReadAsync(cancellationToken))
            return null;

        return (new ReplayState
        {
            ReplayId = replayId,
            Status = row.GetString(0),
            Letters = row.GetInt32(1),
            ExpiresAt = new DateTimeOffset(row.GetDateTime(2), TimeSpan.Zero),
            Plan = JsonSerializer.Deserialize<ReplayPlan>(row.GetString(3))!,
        }, row.IsDBNull(4) ? null : row.GetString(4), row.GetBoolean(5));
    }

    // One start after the other, so that of two replays of the same letters the second sees what the first took. The unique index is behind it.
    const string OneByOneSql = "select pg_advisory_xact_lock(5711900611840364426)";

    const string TakeSql = """
        update pulse.replay_items i set active = true
        from pulse.dead_letters d
        where i.replay_id = $1 and i.state = 'planned' and d.dead_letter_id = i.dead_letter_id and (d.status in ('parked', 'failed_again') or (d.status = 'quarantined' and $2))
          and not exists (select from pulse.replay_items other where other.dead_letter_id = i.dead_letter_id and other.active)
        """;

    const string LeaveSql = "update pulse.replay_items set state = 'excluded', handled_at = $2 where replay_id = $1 and state = 'planned' and not active";

    const string StartSql = """
        update pulse.replays
        set status = $2, rate_per_second = $3, canary = $4, stop_on_failure_ratio = $5, started_by = $6, started_at = $7, changed_at = $7, canary_until = $8
        where replay_id = $1
        """;

    /// <summary>Takes the plan's letters for its replay: those that nobody else has taken meanwhile.</summary>
    /// <returns>How many.</returns>
    public static async Task<int> StartAsync(
        NpgsqlConnection connection, Guid replayId, StartRequest request, bool quarantined, string actor, DateTimeOffset now, CancellationToken cancellationToken)
    {
        await RunAsync(connection, OneByOneSql, cancellationToken);
        var taken = await RunAsync(connection, TakeSql, cancellationToken, Id(replayId), new NpgsqlParameter<bool> { TypedValue = quarantined });
        if (taken == 0)
            return 0;

        await RunAsync(connection, LeaveSql, cancellationToken, Id(replayId), Time(now));
        var canary = Math.Min(request.Canary, taken);
        await RunAsync(
            connection, StartSql, cancellationToken, Id(replayId),
            new NpgsqlParameter<string> { TypedValue = canary > 0 ? ReplayStatus.Canary : ReplayStatus.Running },
            new NpgsqlParameter<double> { TypedValue = request.RatePerSecond }, new NpgsqlParameter<int> { TypedValue = canary },
            new NpgsqlParameter<double> { TypedValue = request.StopOnFailureRatio }, new NpgsqlParameter<string> { TypedValue = actor },
            Time(now), Time(now + ReplayRules.CanaryLasts));
        return taken;
    }

    static async Task<IReadOnlyList<PlannedGroup>> GroupsAsync(NpgsqlConnection connection, Guid replayId, CancellationToken cancellationToken)
    {
        await using var command = new NpgsqlCommand(GroupsSql, connection) { Parameters = { Id(replayId) } };
        var groups = new List<PlannedGroup>();
        await using var row = await command.ExecuteReaderAsync(cancellationToken);
        while (await row.ReadAsync(cancellationToken))
        {
            groups.Add(new PlannedGroup
            {
                Fingerprint = row.GetString(0),
                Queue = row.GetString(1),
                MessageType = row.IsDBNull(2) ? null : row.GetString(2),
                ExceptionType = row.IsDBNull(3) ? null : row.GetString(3),
                Letters = row.GetInt32(4),
            });
        }

        return groups;
    }

    /// <summary>Runs a statement that answers with reasons, counts and samples; the reason '' is none.</summary>
    public static async Task<List<Exclusion>> JudgeAsync(
        NpgsqlConnection connection, string sql, CancellationToken cancellationToken, params NpgsqlParameter[] parameters)
    {
        await using var command = new NpgsqlCommand(sql, connection);
        command.Parameters.AddRange(parameters);
        var judged = new List<Exclusion>();
        await using var row = await command.ExecuteReaderAsync(cancellationToken);
        while (await row.ReadAsync(cancellationToken))
            judged.Add(new Exclusion { Why = row.GetString(0), Letters = row.GetInt32(1), Samples = row.GetFieldValue<Guid[]>(2) });
        return judged;
    }

    static async Task<int> RunAsync(NpgsqlConnection connection, string sql, CancellationToken cancellationToken, params NpgsqlParameter[] parameters)
    {
        await using var command = new NpgsqlCommand(sql, connection);
        command.Parameters.AddRange(parameters);
        return await command.ExecuteNonQueryAsync(cancellationToken);
    }

    static NpgsqlParameter<Guid> Id(Guid id) => new() { TypedValue = id };

    static NpgsqlParameter Json(string json) => new() { Value = json, NpgsqlDbType = NpgsqlDbType.Jsonb };

    static NpgsqlParameter<DateTime> Time(DateTimeOffset time) => new() { TypedValue = time.UtcDateTime };
}
