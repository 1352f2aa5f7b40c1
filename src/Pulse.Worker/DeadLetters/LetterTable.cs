using Npgsql;
using NpgsqlTypes;

namespace Pulse.Worker.DeadLetters;

/// <summary>Statements on letters as they are collected, and as their consumer is done with them.</summary>
static class LetterTable
{
    const string Given = """
        unnest($1::uuid[], $2::text[], $3::uuid[], $4::text[], $5::boolean[], $6::text[], $7::text[], $8::text[], $9::text[], $10::text[], $11::uuid[],
                    $12::text[], $13::text[], $14::jsonb[], $15::bytea[], $16::integer[], $17::timestamptz[], $18::text[], $19::uuid[], $21::text[])
            as given (new_id, queue, message_id, reason, is_envelope, message_type, exception_type, exception_message, stack, fingerprint, org_id,
                      ids, content_type, headers, body, body_bytes, failed_at, failure, replay_id, host)
        """;

    // What is new, which nearly all are, is written once, as it will be: a later change would write the row and all its indexes anew. In the order of
    // the key, so that two collectors with letters in common wait for one another in one direction only.
    const string InsertSql = $"""
        with added as (
            insert into pulse.dead_letters
                (dead_letter_id, queue, message_id, reason, is_envelope, message_type, exception_type, exception_message, stack, fingerprint, org_id, ids,
                 content_type, headers, body, body_cut, body_bytes, first_failed_at, last_failed_at, occurrences, failed_replays, status, changed_at, collected_at)
            select new_id, queue, message_id, reason, is_envelope, message_type, exception_type, exception_message, stack, fingerprint, org_id, ids::uuid[],
                 content_type, headers, body, body_bytes > octet_length(body), body_bytes, failed_at, failed_at, 1, case when replay_id is null then 0 else 1 end,
                 case
                     when exists (select from messaging.inbox i where i.message_id = given.message_id and i.consumer_id = given.queue) then 'resolved'
                     -- Its row was forgotten meanwhile.
                     when replay_id is not null then 'failed_again'
                     else 'parked' end,
                 $20, $20
            from {Given}
            order by queue, message_id
            on conflict (queue, message_id) do nothing
            returning dead_letter_id)
        insert into pulse.dead_letter_occurrences (dead_letter_id, failure, failed_at, exception_type, exception_message, replay_id, host)
        select new_id, failure, failed_at, exception_type, exception_message, replay_id, host from {Given} join added on added.dead_letter_id = given.new_id
        """;

    // What was there. A failure that is noted already is a delivery of the same one. Of a letter that its consumer is done with meanwhile (it was
    // redelivered and succeeded, after it had been moved here) the inbox says so, and nothing is left to do.
    const string NoteSql = $"""
        with noted as (
            insert into pulse.dead_letter_occurrences (dead_letter_id, failure, failed_at, exception_type, exception_message, replay_id, host)
            select d.dead_letter_id, given.failure, given.failed_at, given.exception_type, given.exception_message, given.replay_id, given.host
            from {Given} join pulse.dead_letters d using (queue, message_id)
            where d.dead_letter_id <> given.new_id
            on conflict (dead_letter_id, failure) do nothing
            returning dead_letter_id, failed_at, replay_id),
        news as (
            select d.dead_letter_id, given.reason, given.exception_type, given.exception_message, given.stack, given.fingerprint, given.headers, given.ids::uuid[] as ids,
                n.failed_at, n.replay_id,
                exists (select from messaging.inbox i where i.message_id = d.message_id and i.consumer_id = d.queue) as done
            from noted n join pulse.dead_letters d using (dead_letter_id) join {Given} on given.queue = d.queue and given.message_id = d.message_id),
        changed as (
            update pulse.dead_letters d
            set occurrences = d.occurrences + 1,
                first_failed_at = least(d.first_failed_at, n.failed_at), last_failed_at = greatest(d.last_failed_at, n.failed_at),
                reason = n.reason, exception_type = n.exception_type, exception_message = n.exception_message, stack = n.stack, fingerprint = n.fingerprint,
                headers = n.headers,
                -- Of every failure: what it is erased by.
                ids = case when d.ids @> n.ids or cardinality(d.ids) >= 1024 then d.ids else array(select distinct unnest(d.ids || n.ids)) end,
                failed_replays = d.failed_replays + case when n.replay_id is null then 0 else 1 end,
                status = case
                    when d.status = 'discarded' then 'discarded'
                    when n.done then 'resolved'
                    -- A copy of an earlier replay, while a later one is on its way.
                    when d.status in ('queued', 'replayed') and d.replay_id is distinct from n.replay_id then d.status
                    when n.replay_id is not null then case when d.failed_replays + 1 >= $22 then 'quarantined' else 'failed_again' end
                    when d.status = 'resolved' then 'parked'
                    else d.status end,
                changed_at = $20
            from news n where d.dead_letter_id = n.dead_letter_id
            returning d.dead_letter_id, n.replay_id, n.done)
        update pulse.replay_items i
        set state = case when c.done then 'resolved' else 'failed_again' end, active = false, handled_at = $20
        from changed c
        where i.replay_id = c.replay_id and i.dead_letter_id = c.dead_letter_id and i.state not in ('resolved', 'failed_again')
        """;

    // In the order of their key, as above.
    const string GroupsSql = """
        insert into pulse.dead_letter_groups as g (fingerprint, exception_type, message_type, reason, stack, first_failed_at, last_failed_at, sample_id)
        select distinct on (fingerprint) fingerprint, given.exception_type, given.message_type, given.reason, given.normal_stack,
            min(d.last_failed_at) over same, max(d.last_failed_at) over same, d.dead_letter_id
        from unnest($1::text[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[])
            as given (queue, message_id, fingerprint, exception_type, message_type, reason, normal_stack)
        join pulse.dead_letters d using (queue, message_id, fingerprint)
        window same as (partition by fingerprint)
        order by fingerprint, d.last_failed_at desc
        on conflict (fingerprint) do update
        set first_failed_at = least(g.first_failed_at, excluded.first_failed_at), last_failed_at = greatest(g.last_failed_at, excluded.last_failed_at),
            sample_id = case when excluded.last_failed_at >= g.last_failed_at then excluded.sample_id else g.sample_id end
        """;

    /// <summary>Stores letters of which no two are of one message, in one transaction and one round trip.</summary>
    public static async Task StoreAsync(
        NpgsqlDataSource dataSource, IReadOnlyList<Letter> letters, DateTimeOffset now, int quarantineAfter, CancellationToken cancellationToken)
    {
        // Not begun, the batch is a transaction by itself.
        await using var batch = dataSource.CreateBatch();
        var ids = letters.Select(letter => Guid.CreateVersion7(letter.FailedAt is { } failed && failed < now ? failed : now)).ToArray();
        var (insert, note, groups) = (new NpgsqlBatchCommand(InsertSql), new NpgsqlBatchCommand(NoteSql), new NpgsqlBatchCommand(GroupsSql));
        foreach (var command in (ReadOnlySpan<NpgsqlBatchCommand>)[insert, note])
        {
            command.Parameters.Add(new NpgsqlParameter<Guid[]> { TypedValue = ids });
            Array(command, letter => letter.Queue, NpgsqlDbType.Text);
            Array(command, letter => letter.MessageId, NpgsqlDbType.Uuid);
            Array(command, letter => letter.Reason, NpgsqlDbType.Text);
            Array(command, letter => letter.IsEnvelope, NpgsqlDbType.Boolean);
            Array(command, letter => letter.MessageType, NpgsqlDbType.Text);
            Array(command, letter => letter.ExceptionType, NpgsqlDbType.Text);
            Array(command, letter => letter.ExceptionMessage, NpgsqlDbType.Text);
            Array(command, letter => letter.Stack, NpgsqlDbType.Text);
            Array(command, letter => letter.Fingerprint, NpgsqlDbType.Text);
            Array(command, letter => letter.OrgId, NpgsqlDbType.Uuid);
            // Postgres has no arrays of arrays of different lengths.
            Array(command, letter => "{" + string.Join(',', letter.Ids) + "}", NpgsqlDbType.Text);
            Array(command, letter => letter.ContentType, NpgsqlDbType.Text);
            Array(command, letter => letter.Headers, NpgsqlDbType.Jsonb);
            // Once is enough.
            Array(command, letter => command == insert ? letter.Body : [], NpgsqlDbType.Bytea);
            Array(command, letter => letter.BodyBytes, NpgsqlDbType.Integer);
            Array(command, letter => (letter.FailedAt ?? now).UtcDateTime, NpgsqlDbType.TimestampTz);
            Array(command, letter => letter.Failure, NpgsqlDbType.Text);
            Array(command, letter => letter.ReplayId, NpgsqlDbType.Uuid);
            command.Parameters.Add(new NpgsqlParameter<DateTime> { TypedValue = now.UtcDateTime });
            Array(command, letter => letter.Host, NpgsqlDbType.Text);
        }

        note.Parameters.Add(new NpgsqlParameter<int> { TypedValue = quarantineAfter });
        Array(groups, letter => letter.Queue, NpgsqlDbType.Text);
        Array(groups, letter => letter.MessageId, NpgsqlDbType.Uuid);
        Array(groups, letter => letter.Fingerprint, NpgsqlDbType.Text);
        Array(groups, letter => letter.ExceptionType, NpgsqlDbType.Text);
        Array(groups, letter => letter.MessageType, NpgsqlDbType.Text);
        Array(groups, letter => letter.Reason, NpgsqlDbType.Text);
        Array(groups, letter => letter.NormalStack, NpgsqlDbType.Text);
        foreach (var command in (ReadOnlySpan<NpgsqlBatchCommand>)[insert, note, groups])
            batch.BatchCommands.Add(command);
        await batch.ExecuteNonQueryAsync(cancellationToken);

        void Array<T>(NpgsqlBatchCommand command, Func<Letter, T> value, NpgsqlDbType type) =>
            command.Parameters.Add(new NpgsqlParameter<T[]> { TypedValue = [.. letters.Select(value)], NpgsqlDbType = NpgsqlDbType.Array | type });
    }

    // The letter first and its item second, as everybody who takes both. By its replay: an item that was given up as unanswered is resolved, too.
    const string ResolveSql = """
        with letter as (
            select dead_letter_id from pulse.dead_letters where queue = $1 and message_id = $2 for update),
        resolved as (
            update pulse.dead_letters d set status = 'resolved', failed_replays = 0, changed_at = $4
            from letter where d.dead_letter_id = letter.dead_letter_id and d.status <> 'resolved')
        update pulse.replay_items i set state = 'resolved', active = false, handled_at = $4
        from letter where i.dead_letter_id = letter.dead_letter_id and i.replay_id = $3 and i.state <> 'resolved'
        """;

    /// <summary>The consumer of a replayed message is done with it, now or long ago.</summary>
    public static NpgsqlBatchCommand Resolve(string queue, Guid messageId, Guid replayId, DateTime now) => new(ResolveSql)
    {
        Parameters =
        {
            new NpgsqlParameter<string> { TypedValue = queue },
            new NpgsqlParameter<Guid> { TypedValue = messageId },
            new NpgsqlParameter<Guid> { TypedValue = replayId },
            new NpgsqlParameter<DateTime> { TypedValue = now },
        },
    };
}
