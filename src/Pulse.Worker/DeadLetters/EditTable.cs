using Npgsql;
using NpgsqlTypes;

namespace Pulse.Worker.DeadLetters;

/// <summary>Statements on one letter: to edit it, and to say that somebody looks at it.</summary>
static class EditTable
{
    /// <summary>A letter as it is edited.</summary>
    public sealed record Held(string Queue, string Status, bool IsEnvelope, bool BodyCut, byte[] Body, bool InActiveReplay, string? MessageType);

    const string LockSql = """
        select d.queue, d.status, d.is_envelope, d.body_cut, d.body,
            exists (select from pulse.replay_items i where i.dead_letter_id = d.dead_letter_id and i.active), d.message_type
        from pulse.dead_letters d where d.dead_letter_id = $1 for update
        """;

    /// <returns>Null: there is none.</returns>
    public static async Task<Held?> LockAsync(NpgsqlConnection connection, Guid deadLetterId, CancellationToken cancellationToken)
    {
        await using var command = new NpgsqlCommand(LockSql, connection) { Parameters = { Id(deadLetterId) } };
        await using var row = await command.ExecuteReaderAsync(cancellationToken);
        return await row.ReadAsync(cancellationToken)
            ? new Held(row.GetString(0), row.GetString(1), row.GetBoolean(2), row.GetBoolean(3), row.GetFieldValue<byte[]>(4), row.GetBoolean(5), row.IsDBNull(6) ? null : row.GetString(6))
            : null;
    }

    // What failed is told of the copy as well, so that it stands in its group; it has not failed itself yet.
    const string CopySql = """
        insert into pulse.dead_letters
            (dead_letter_id, queue, message_id, reason, is_envelope, message_type, exception_type, exception_message, stack, fingerprint, org_id, ids,
             content_type, headers, body, body_bytes, first_failed_at, last_failed_at, occurrences, changed_at, collected_at, edited_from, edit)
        select $2, queue, $3, reason, is_envelope, message_type, exception_type, exception_message, stack, fingerprint, $6, $7,
            content_type, headers - 'MT-OriginalMessageId', $4, octet_length($4), first_failed_at, last_failed_at, 0, $5, $5, $1, $8
        from pulse.dead_letters where dead_letter_id = $1
        """;

    const string ReplaceSql = """
        update pulse.dead_letters set status = 'discarded', discard_reason = $3, discarded_by = $4, edited_into = $2, changed_at = $5 where dead_letter_id = $1
        """;

    /// <summary>Puts an edited copy in the place of a letter.</summary>
    public static async Task ReplaceAsync(
        NpgsqlConnection connection, Guid deadLetterId, Guid copyId, Guid messageId, byte[] body, Guid? orgId, Guid[] ids, string edit,
        string reason, string actor, DateTimeOffset now, CancellationToken cancellationToken)
    {
        await using var batch = new NpgsqlBatch(connection);
        batch.BatchCommands.Add(new NpgsqlBatchCommand(CopySql)
        {
            Parameters =
            {
                Id(deadLetterId), Id(copyId), Id(messageId), new NpgsqlParameter<byte[]> { TypedValue = body }, Time(now),
                new NpgsqlParameter { Value = (object?)orgId ?? DBNull.Value, NpgsqlDbType = NpgsqlDbType.Uuid },
                new NpgsqlParameter<Guid[]> { TypedValue = ids }, new NpgsqlParameter { Value = edit, NpgsqlDbType = NpgsqlDbType.Jsonb },
            },
        });
        batch.BatchCommands.Add(new NpgsqlBatchCommand(ReplaceSql)
        {
            Parameters =
            {
                Id(deadLetterId), Id(copyId), new NpgsqlParameter<string> { TypedValue = reason }, new NpgsqlParameter<string> { TypedValue = actor }, Time(now),
            },
        });
        await batch.ExecuteNonQueryAsync(cancellationToken);
    }

    const string WhoseSql = "select queue, message_type, org_id from pulse.dead_letters where dead_letter_id = $1";

    /// <returns>Null: there is none.</returns>
    public static async Task<(string Queue, string? MessageType, Guid? OrgId)?> WhoseAsync(
        NpgsqlConnection connection, Guid deadLetterId, CancellationToken cancellationToken)
    {
        await using var command = new NpgsqlCommand(WhoseSql, connection) { Parameters = { Id(deadLetterId) } };
        await using var row = await command.ExecuteReaderAsync(cancellationToken);
        return await row.ReadAsync(cancellationToken)
            ? (row.GetString(0), row.IsDBNull(1) ? null : row.GetString(1), row.IsDBNull(2) ? null : row.GetGuid(2))
            : null;
    }

    static NpgsqlParameter<Guid> Id(Guid id) => new() { TypedValue = id };

    static NpgsqlParameter<DateTime> Time(DateTimeOffset time) => new() { TypedValue = time.UtcDateTime };
}
