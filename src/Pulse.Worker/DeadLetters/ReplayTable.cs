using Npgsql;
using NpgsqlTypes;

namespace Pulse.Worker.DeadLetters;

/// <summary>Statements on replays that run. Who takes a letter and its item takes the letter first.</summary>
static class ReplayTable
{
    // What is not over, and what is over but has letters on their way. SKIP LOCKED: another worker is at it.
    const string OpenSql = """
        select replay_id, bool_or(moves) from (
            select replay_id, status <> 'planned' as moves from pulse.replays where status in ('planned', 'canary', 'running', 'paused')
            union all
            (select distinct replay_id, true from pulse.replay_items where state in ('queued', 'sent'))) as open
        group by replay_id
        """;

    /// <returns>Their ids, and whether there is anything to look at but a plan's age.</returns>
    public static async Task<List<(Guid ReplayId, bool Moves)>> OpenAsync(NpgsqlDataSource dataSource, CancellationToken cancellationToken)
    {
        await using var command = dataSource.CreateCommand(OpenSql);
        var open = new List<(Guid, bool)>();
        await using var row = await command.ExecuteReaderAsync(cancellationToken);
        while (await row.ReadAsync(cancellationToken))
            open.Add((row.GetGuid(0), row.GetBoolean(1)));
        return open;
    }

    const string LockSql = "select from pulse.replays where replay_id = $1 for update skip locked";

    /// <returns>False when somebody else has it, or there is none.</returns>
    public static async Task<bool> TryLockAsync(NpgsqlConnection connection, Guid replayId, CancellationToken cancellationToken)
    {
        await using var command = new NpgsqlCommand(LockSql, connection) { Parameters = { new NpgsqlParameter<Guid> { TypedValue = replayId } } };
        await using var row = await command.ExecuteReaderAsync(cancellationToken);
        return await row.ReadAsync(cancellationToken);
    }

    // The relay has brought it to the broker when its outbox row is gone. A letter that is locked is being handled: the next look will do.
    const string SentSql = """
        with gone as materialized (
            select i.position, i.dead_letter_id
            from pulse.replay_items i join pulse.dead_letters d using (dead_letter_id)
            where i.replay_id = $1 and i.state = 'queued' and not exists (select from messaging.outbox o where o.id = i.outbox_id)
            for update of d skip locked),
        letters as (
            update pulse.dead_letters d set status = 'replayed', changed_at = $2
            from gone where d.dead_letter_id = gone.dead_letter_id and d.status = 'queued')
        update pulse.replay_items i set state = 'sent', sent_at = $2
        from gone where i.replay_id = $1 and i.position = gone.position and i.state = 'queued'
        """;

    /// <summary>Notes what is with the broker.</summary>
    public static Task SentAsync(NpgsqlConnection connection, Guid replayId, DateTimeOffset now, CancellationToken cancellationToken) =>
        RunAsync(connection, SentSql, cancellationToken, Id(replayId), Time(now));

    // Its message may still come to an end: the consumer's mark then holds all the same.
    const string UnansweredSql = """
        with silent as materialized (
            select i.position, i.dead_letter_id
            from pulse.replay_items i join pulse.dead_letters d using (dead_letter_id)
            where i.replay_id = $1 and i.state = 'sent' and i.sent_at <= $3
            for update of d skip locked),
        letters as (
            update pulse.dead_letters d set status = case when d.failed_replays > 0 then 'failed_again' else 'parked' end, changed_at = $2
            from silent where d.dead_letter_id = silent.dead_letter_id and d.status = 'replayed')
        update pulse.replay_items i set state = 'unanswered', active = false, handled_at = $2
        from silent where i.replay_id = $1 and i.position = silent.position and i.state = 'sent'
        """;

    /// <summary>Gives up waiting for what was sent before a time.</summary>
    public static Task UnansweredAsync(NpgsqlConnection connection, Guid replayId, DateTimeOffset before, DateTimeOffset now, CancellationToken cancellationToken) =>
        RunAsync(connection, UnansweredSql, cancellationToken, Id(replayId), Time(now), Time(before));

    const string ReadSql = """
        select r.status, r.rate_per_second, r.canary, r.stop_on_failure_ratio, r.expires_at, r.canary_until, r.next_due_at,
            n.planned, n.queued, n.sent, n.resolved, n.failed_again, n.unanswered
        from pulse.replays r
        cross join lateral (
            select count(*) filter (where state = 'planned') as planned, count(*) filter (where state = 'queued') as queued,
                count(*) filter (where state = 'sent') as sent, count(*) filter (where state = 'resolved') as resolved,
                count(*) filter (where state = 'failed_again') as failed_again, count(*) filter (where state = 'unanswered') as unanswered
            from pulse.replay_items i where i.replay_id = r.replay_id) as n
        where r.replay_id = $1
        """;

    public static async Task<Replay> ReadAsync(NpgsqlConnection connection, Guid replayId, CancellationToken cancellationToken)
    {
        await using var command = new NpgsqlCommand(ReadSql, connection) { Parameters = { Id(replayId) } };
        await using var row = await command.ExecuteReaderAsync(cancellationToken);
        await row.ReadAsync(cancellationToken);
        return new Replay
        {
            ReplayId = replayId,
            Status = row.GetString(0),
            RatePerSecond = row.IsDBNull(1) ? 0 : row.GetDouble(1),
            Canary = row.IsDBNull(2) ? 0 : row.GetInt32(2),
            StopOnFailureRatio = row.IsDBNull(3) ? 1 : row.GetDouble(3),
            ExpiresAt = At(4)!.Value,
            CanaryUntil = At(5),
            NextDueAt = At(6),
            Planned = row.GetInt64(7),
            Queued = row.GetInt64(8),
            Sent = row.GetInt64(9),
            Resolved = row.GetInt64(10),
            FailedAgain = row.GetInt64(11),
            Unanswered = row.GetInt64(12),
        };

        DateTimeOffset? At(int column) => row.IsDBNull(column) ? null : new DateTimeOffset(row.GetDateTime(column), TimeSpan.Zero);
    }

    // One statement: a letter is marked exactly when its message is in the outbox. The stored bytes go out as they came, to the queue that failed
    // and nowhere else, under the message's own id; of the headers, what the failure and the broker added is left out. What is no longer to
    // be replayed ends here.
    const string SendSql = """
        with wanted as (
            select position, dead_letter_id from pulse.replay_items
            where replay_id = $1 and state = 'planned' and active order by position limit $2),
        locked as materialized (
            select w.position, d.dead_letter_id, d.queue, d.message_id, d.content_type, d.headers, d.body, d.attempts, d.status
            from wanted w join pulse.dead_letters d using (dead_letter_id)
            order by w.position for update of d skip locked),
        due as materialized (
            select *, row_number() over (order by position) as number from locked where status in ('parked', 'failed_again', 'quarantined')),
        written as (
            insert into messaging.outbox (id, message_id, exchange, routing_key, content_type, headers, body, due_at, relay_at)
            select ($5::uuid[])[number], message_id, '', queue, content_type,
                coalesce((
                    select jsonb_object_agg(h.key, h.value) from jsonb_each(due.headers) h
                    where not (h.key like 'MT-Fault-%' or h.key like 'MT-Host-%' or h.key = 'MT-Reason' or h.key like 'Pulse-Replay-%' or h.key like 'x-%')
                      and jsonb_typeof(h.value) in ('string', 'number', 'boolean')), '{}')
                    || jsonb_build_object('Pulse-Replay-Id', $1::uuid, 'Pulse-Replay-Attempt', attempts + 1),
                body, $4::timestamptz + (number - 1) * $6::interval,
                case when $6::interval = interval '0' then '-infinity' else $4::timestamptz + (number - 1) * $6::interval end
            from due),
        marked as (
            update pulse.dead_letters d set status = 'queued', replay_id = $1, attempts = d.attempts + 1, changed_at = $3
            from due where d.dead_letter_id = due.dead_letter_id),
        over as (
            update pulse.replay_items i set state = case when l.status = 'resolved' then 'resolved' else 'excluded' end, active = false, handled_at = $3
            from locked l where i.replay_id = $1 and i.position = l.position and l.status not in ('parked', 'failed_again', 'quarantined'))
        update pulse.replay_items i
        set state = 'queued', outbox_id = ($5::uuid[])[due.number], attempt = due.attempts + 1, due_at = $4::timestamptz + (due.number - 1) * $6::interval
        from due where i.replay_id = $1 and i.position = due.position
        """;

    /// <summary>Brings the next letters on their way.</summary>
    /// <returns>How many.</returns>
    public static Task<int> SendAsync(
        NpgsqlConnection connection, Guid replayId, int letters, DateTimeOffset dueAt, TimeSpan interval, DateTimeOffset now, CancellationToken cancellationToken) =>
        RunAsync(
            connection, SendSql, cancellationToken, Id(replayId), new NpgsqlParameter<int> { TypedValue = letters }, Time(now), Time(dueAt),
            new NpgsqlParameter<Guid[]> { TypedValue = [.. Enumerable.Range(0, letters).Select(_ => Guid.CreateVersion7(now))] },
            new NpgsqlParameter<TimeSpan> { TypedValue = interval, NpgsqlDbType = NpgsqlDbType.Interval });

    // A row that a relay has in its hands is not waited for: if it comes back, because the broker is away, the next look takes it.
    const string TakeBackSql = """
        with mine as materialized (
            select i.position, i.dead_letter_id, i.outbox_id
            from pulse.replay_items i join pulse.dead_letters d using (dead_letter_id)
            where i.replay_id = $1 and i.state = 'queued' for update of d skip locked),
        free as materialized (
            select o.id from messaging.outbox o join mine on o.id = mine.outbox_id for update of o skip locked),
        taken as (
            delete from messaging.outbox o using free where o.id = free.id returning o.id),
        letters as (
            update pulse.dead_letters d
            set status = case when d.failed_replays >= $3 then 'quarantined' when d.failed_replays > 0 then 'failed_again' else 'parked' end,
                attempts = d.attempts - 1, changed_at = $2
            from mine join taken on taken.id = mine.outbox_id where d.dead_letter_id = mine.dead_letter_id and d.status = 'queued')
        update pulse.replay_items i set state = 'planned', outbox_id = null, attempt = null, due_at = null
        from mine join taken on taken.id = mine.outbox_id where i.replay_id = $1 and i.position = mine.position
        """;

    const string ReleaseSql = """
        update pulse.replay_items set state = 'cancelled', active = false, handled_at = $2 where replay_id = $1 and state = 'planned'
        """;

    /// <summary>Takes back what is not with the broker yet.</summary>
    /// <param name="release">For good: the letters are free again.</param>
    public static async Task TakeBackAsync(NpgsqlConnection connection, Guid replayId, bool release, DateTimeOffset now, CancellationToken cancellationToken)
    {
        await RunAsync(connection, TakeBackSql, cancellationToken, Id(replayId), Time(now), new NpgsqlParameter<int> { TypedValue = LetterStore.QuarantineAfter });
        if (release)
            await RunAsync(connection, ReleaseSql, cancellationToken, Id(replayId), Time(now));
    }

    const string DueSql = "update pulse.replays set next_due_at = $2, changed_at = $3 where replay_id = $1";

    public static Task DueAsync(NpgsqlConnection connection, Guid replayId, DateTimeOffset dueAt, DateTimeOffset now, CancellationToken cancellationToken) =>
        RunAsync(connection, DueSql, cancellationToken, Id(replayId), Time(dueAt), Time(now));

    // The rate holds across a pause, and from the canary to what is behind it: the next is due an interval after the last that went or will go, and
    // what was taken back is none of these.
    const string MoveSql = """
        update pulse.replays
        set status = $2, stop_reason = coalesce($3, stop_reason), changed_at = $4,
            paused_in = case when $2 = 'paused' then status end,
            canary_until = case when $2 = 'canary' then $5 else canary_until end,
            next_due_at = case
                when $2 not in ('canary', 'running') then next_due_at
                when rate_per_second > 0 then
                    (select max(i.due_at) from pulse.replay_items i where i.replay_id = $1) + interval '1 second' / rate_per_second end,
            ended_at = case when $2 in ('stopped', 'cancelled', 'completed', 'expired') then $4 else ended_at end
        where replay_id = $1
        """;

    /// <summary>Another status.</summary>
    public static Task MoveAsync(
        NpgsqlConnection connection, Guid replayId, string status, string? stopReason, DateTimeOffset now, CancellationToken cancellationToken) =>
        RunAsync(
            connection, MoveSql, cancellationToken, Id(replayId), new NpgsqlParameter<string> { TypedValue = status },
            new NpgsqlParameter { Value = (object?)stopReason ?? DBNull.Value, NpgsqlDbType = NpgsqlDbType.Text }, Time(now), Time(now + ReplayRules.CanaryLasts));

    static async Task<int> RunAsync(NpgsqlConnection connection, string sql, CancellationToken cancellationToken, params NpgsqlParameter[] parameters)
    {
        await using var command = new NpgsqlCommand(sql, connection);
        command.Parameters.AddRange(parameters);
        return await command.ExecuteNonQueryAsync(cancellationToken);
    }

    static NpgsqlParameter<Guid> Id(Guid id) => new() { TypedValue = id };

    static NpgsqlParameter<DateTime> Time(DateTimeOffset time) => new() { TypedValue = time.UtcDateTime };
}
