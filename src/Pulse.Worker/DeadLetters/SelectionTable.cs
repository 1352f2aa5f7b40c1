using Npgsql;
using Pulse.Contracts.DeadLetters;

namespace Pulse.Worker.DeadLetters;

/// <summary>Statements that discard and restore letters: as many as their status allows.</summary>
static class SelectionTable
{
    // A letter in an active replay is that replay's; locked, so that none becomes it meanwhile.
    const string DiscardSql = """
        with held as materialized (
            select d.dead_letter_id, d.status, d.last_failed_at, d.edited_into
            from pulse.dead_letters d where d.dead_letter_id = any ($4) order by d.dead_letter_id for update of d),
        judged as materialized (
            select f.dead_letter_id, h.last_failed_at, case
                when h.dead_letter_id is null then 'gone'
                when h.status = 'discarded' then case when h.edited_into is null then 'discarded' else 'edited' end
                when h.status = 'resolved' then 'resolved'
                when h.status in ('queued', 'replayed')
                    or exists (select from pulse.replay_items i where i.dead_letter_id = h.dead_letter_id and i.active) then 'in_active_replay' end as why
            from unnest($4::uuid[]) as f (dead_letter_id) left join held h using (dead_letter_id)),
        done as (
            update pulse.dead_letters d set status = 'discarded', discard_reason = $1, discarded_by = $2, changed_at = $3
            from judged j where d.dead_letter_id = j.dead_letter_id and j.why is null)
        select coalesce(why, ''), count(*)::integer, (array_agg(dead_letter_id order by last_failed_at desc, dead_letter_id))[1:10]
        from judged group by why order by count(*) desc
        """;

    // An edited letter comes back only when its copy was given up: or its effect could be there twice, under two message ids.
    const string RestoreSql = """
        with held as materialized (
            select d.dead_letter_id, d.status, d.last_failed_at, d.edited_into
            from pulse.dead_letters d where d.dead_letter_id = any ($2) order by d.dead_letter_id for update of d),
        judged as materialized (
            select f.dead_letter_id, h.last_failed_at, case
                when h.dead_letter_id is null then 'gone'
                when h.status not in ('discarded', 'quarantined') then 'not_discarded'
                when exists (select from pulse.replay_items i where i.dead_letter_id = h.dead_letter_id and i.active) then 'in_active_replay'
                when exists (select from pulse.dead_letters c where c.dead_letter_id = h.edited_into and c.status <> 'discarded') then 'edited' end as why
            from unnest($2::uuid[]) as f (dead_letter_id) left join held h using (dead_letter_id)),
        done as (
            update pulse.dead_letters d
            set status = 'parked', failed_replays = 0, discard_reason = null, discarded_by = null, edited_into = null, changed_at = $1
            from judged j where d.dead_letter_id = j.dead_letter_id and j.why is null)
        select coalesce(why, ''), count(*)::integer, (array_agg(dead_letter_id order by last_failed_at desc, dead_letter_id))[1:10]
        from judged group by why order by count(*) desc
        """;

    /// <returns>Reasons, counts and samples; the reason '' is what was done.</returns>
    public static Task<List<Exclusion>> DiscardAsync(
        NpgsqlConnection connection, Guid[] ids, string reason, string actor, DateTimeOffset now, CancellationToken cancellationToken) =>
        PlanTable.JudgeAsync(
            connection, DiscardSql, cancellationToken,
            new NpgsqlParameter<string> { TypedValue = reason }, new NpgsqlParameter<string> { TypedValue = actor }, Time(now),
            new NpgsqlParameter<Guid[]> { TypedValue = ids });

    /// <inheritdoc cref="DiscardAsync"/>
    public static Task<List<Exclusion>> RestoreAsync(NpgsqlConnection connection, Guid[] ids, DateTimeOffset now, CancellationToken cancellationToken) =>
        PlanTable.JudgeAsync(connection, RestoreSql, cancellationToken, Time(now), new NpgsqlParameter<Guid[]> { TypedValue = ids });

    static NpgsqlParameter<DateTime> Time(DateTimeOffset time) => new() { TypedValue = time.UtcDateTime };
}
