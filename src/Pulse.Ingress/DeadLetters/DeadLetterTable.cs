using System.Text.Json;
using Npgsql;
using NpgsqlTypes;
using Pulse.Contracts.DeadLetters;

namespace Pulse.Ingress.DeadLetters;

/// <summary>Dead letters as ingress may see them. What is read here is masked here: only <see cref="RevealAsync"/> is not.</summary>
static class DeadLetterTable
{
    public const int FailuresMost = 50;

    const string Columns = """
        d.dead_letter_id, d.queue, d.message_id, d.reason, d.message_type, d.exception_type, d.exception_message, d.fingerprint, d.org_id, d.status,
        d.first_failed_at, d.last_failed_at, d.occurrences, d.attempts, d.failed_replays, d.replay_id
        """;

    // The one reading of a filter is the database's: a plan finds what this list shows.
    const string ListSql = $"""
        select {Columns} from pulse.find_dead_letters($1, $2, $3, $4) f join pulse.dead_letters_v1 d using (dead_letter_id)
        order by f.last_failed_at desc, f.dead_letter_id desc
        """;

    /// <summary>The newest failures first; one more than the limit, if there is one.</summary>
    public static async Task<IReadOnlyList<DeadLetterItem>> ListAsync(
        NpgsqlDataSource dataSource, DeadLetterFilter filter, LetterPlace? after, int limit, CancellationToken cancellationToken)
    {
        await using var command = dataSource.CreateCommand(ListSql);
        command.Parameters.Add(new NpgsqlParameter<string> { TypedValue = JsonSerializer.Serialize(filter, DeadLetterJson.Default.DeadLetterFilter), NpgsqlDbType = NpgsqlDbType.Jsonb });
        command.Parameters.AddRange(LetterPlace.Parameters(after));
        command.Parameters.Add(Value(limit + 1));
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        var letters = new List<DeadLetterItem>();
        while (await reader.ReadAsync(cancellationToken))
            letters.Add(Item(reader));

        return letters;
    }

    const string FindSql = $"""
        select {Columns}, d.stack, d.content_type, d.body_bytes, d.body_cut, d.discard_reason, d.discarded_by, d.edited_from, d.edited_into, p.headers, p.body, p.edit
        from pulse.dead_letters_v1 d join pulse.dead_letter_payloads_v1 p using (dead_letter_id) where d.dead_letter_id = $1
        """;

    const string FailuresSql = """
        select failed_at, exception_type, exception_message, replay_id from pulse.dead_letter_occurrences_v1
        where dead_letter_id = $1 order by failed_at desc limit 50
        """;

    const string ReplaysSql = """
        select replay_id, state, sent_at, handled_at from pulse.replay_items_v1 where dead_letter_id = $1 order by replay_id desc limit 20
        """;

    /// <summary>Everything of one; null when there is none, or no longer.</summary>
    public static async Task<DeadLetterDetail?> FindAsync(NpgsqlDataSource dataSource, Guid id, CancellationToken cancellationToken)
    {
        await using var batch = dataSource.CreateBatch();
        foreach (var sql in (ReadOnlySpan<string>)[FindSql, FailuresSql, ReplaysSql])
            batch.BatchCommands.Add(new NpgsqlBatchCommand(sql) { Parameters = { Value(id) } });

        await using var reader = await batch.ExecuteReaderAsync(cancellationToken);
        if (!await reader.ReadAsync(cancellationToken))
            return null;

        var detail = Detail(reader);
        await reader.NextResultAsync(cancellationToken);
        var failures = new List<Occurrence>();
        while (await reader.ReadAsync(cancellationToken))
            failures.Add(new Occurrence(reader.GetDateTime(0), Masking.TypeName(Text(reader, 1)), Masking.Text(Text(reader, 2)), Id(reader, 3)));

        await reader.NextResultAsync(cancellationToken);
        var replays = new List<LetterReplay>();
        while (await reader.ReadAsync(cancellationToken))
            replays.Add(new LetterReplay(reader.GetGuid(0), reader.GetString(1), Time(reader, 2), Time(reader, 3)));

        return detail with { Failures = failures, Replays = replays };
    }

    const string RevealSql = """
        select p.content_type, p.body, p.headers, d.exception_message, d.stack
        from pulse.dead_letter_payloads_v1 p join pulse.dead_letters_v1 d using (dead_letter_id) where p.dead_letter_id = $1
        """;

    /// <summary>Unmasked. Only behind an operation that has audited it.</summary>
    public static async Task<RevealedDeadLetter?> RevealAsync(NpgsqlDataSource dataSource, RevealResult audited, CancellationToken cancellationToken)
    {
        await using var command = dataSource.CreateCommand(RevealSql);
        command.Parameters.Add(Value(audited.DeadLetterId));
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        if (!await reader.ReadAsync(cancellationToken))
            return null;

        var body = reader.GetFieldValue<byte[]>(1);
        var json = TryParse(body);
        return new RevealedDeadLetter
        {
            DeadLetterId = audited.DeadLetterId,
            AuditedAt = audited.AuditedAt,
            ContentType = reader.GetString(0),
            Payload = json,
            PayloadBase64 = json is null ? Convert.ToBase64String(body) : null,
            Headers = Json(reader.GetString(2)),
            ExceptionMessage = Text(reader, 3),
            Stack = Text(reader, 4),
        };
    }

    const string GroupsSql = $"""
        select {GroupColumns} from pulse.dead_letter_groups_v1
        where ($1 is null or (last_failed_at, fingerprint) < ($1, $2))
          and letters > 0
          and ($3 is null or queues @> array[$3])
          and ($4 is null or case $4 when 'parked' then parked when 'queued' then queued when 'replayed' then replayed when 'resolved' then resolved
              when 'failed_again' then failed_again when 'quarantined' then quarantined when 'discarded' then discarded
              when 'open' then parked + failed_again + quarantined end > 0)
        order by last_failed_at desc, fingerprint desc limit $5
        """;

    const string GroupColumns =
        "fingerprint, reason, exception_type, message_type, stack, first_failed_at, last_failed_at, sample_id, letters, "
        + "parked, queued, replayed, resolved, failed_again, quarantined, discarded, queues";

    /// <summary>The group that failed last first; one more than the limit, if there is one.</summary>
    public static async Task<IReadOnlyList<DeadLetterGroup>> GroupsAsync(NpgsqlDataSource dataSource, GroupQuery query, CancellationToken cancellationToken)
    {
        await using var command = dataSource.CreateCommand(GroupsSql);
        command.Parameters.Add(new NpgsqlParameter { Value = (object?)query.After?.FailedAt ?? DBNull.Value, NpgsqlDbType = NpgsqlDbType.TimestampTz });
        command.Parameters.Add(new NpgsqlParameter<string?> { TypedValue = query.After?.Fingerprint, NpgsqlDbType = NpgsqlDbType.Text });
        command.Parameters.Add(new NpgsqlParameter<string?> { TypedValue = query.Queue, NpgsqlDbType = NpgsqlDbType.Text });
        command.Parameters.Add(new NpgsqlParameter<string?> { TypedValue = query.Status, NpgsqlDbType = NpgsqlDbType.Text });
        command.Parameters.Add(Value(query.Limit + 1));
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        var groups = new List<DeadLetterGroup>();
        while (await reader.ReadAsync(cancellationToken))
            groups.Add(Group(reader));

        return groups;
    }

    const string GroupSql = $"select {GroupColumns} from pulse.dead_letter_groups_v1 where fingerprint = $1";

    public static async Task<DeadLetterGroup?> GroupAsync(NpgsqlDataSource dataSource, string fingerprint, CancellationToken cancellationToken)
    {
        await using var command = dataSource.CreateCommand(GroupSql);
        command.Parameters.Add(Value(fingerprint));
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        return await reader.ReadAsync(cancellationToken) ? Group(reader) : null;
    }

    const string CountsSql = "select queue, status, sum(letters)::bigint from pulse.dead_letter_counts_v1 group by 1, 2 order by 1, 2";

    /// <summary>How many letters there are of each queue in each status.</summary>
    public static async Task<IReadOnlyList<(string Queue, string Status, long Letters)>> CountsAsync(NpgsqlDataSource dataSource, CancellationToken cancellationToken)
    {
        await using var command = dataSource.CreateCommand(CountsSql);
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        var counts = new List<(string, string, long)>();
        while (await reader.ReadAsync(cancellationToken))
            counts.Add((reader.GetString(0), reader.GetString(1), reader.GetInt64(2)));

        return counts;
    }

    static DeadLetterItem Item(NpgsqlDataReader reader) => new()
    {
        DeadLetterId = reader.GetGuid(0),
        Queue = reader.GetString(1),
        MessageId = reader.GetGuid(2),
        Reason = reader.GetString(3),
        MessageType = Masking.TypeName(Text(reader, 4)),
        ExceptionType = Masking.TypeName(Text(reader, 5)),
        ExceptionMessage = Masking.Text(Text(reader, 6)),
        Fingerprint = reader.GetString(7),
        OrgId = Id(reader, 8),
        Status = reader.GetString(9),
        FirstFailedAt = reader.GetDateTime(10),
        LastFailedAt = reader.GetDateTime(11),
        Occurrences = reader.GetInt32(12),
        Attempts = reader.GetInt32(13),
        FailedReplays = reader.GetInt32(14),
        ReplayId = Id(reader, 15),
    };

    static DeadLetterDetail Detail(NpgsqlDataReader reader)
    {
        var edit = Text(reader, 26);
        return new DeadLetterDetail
        {
            Letter = Item(reader),
            Stack = Masking.Stack(Text(reader, 16)),
            ContentType = Masking.TypeName(reader.GetString(17))!,
            BodyBytes = reader.GetInt32(18),
            BodyCut = reader.GetBoolean(19),
            DiscardReason = Text(reader, 20),
            DiscardedBy = Text(reader, 21),
            EditedFrom = Id(reader, 22),
            EditedInto = Id(reader, 23),
            Headers = FieldMasking.Headers(Json(reader.GetString(24))).ToDictionary(header => header.Name, header => header.Value),
            Payload = FieldMasking.Body(reader.GetFieldValue<byte[]>(25)) is { } body ? Json(body) : null,
            Edit = edit is null ? null : [.. Json(edit).EnumerateArray().Select(Change)],
            Failures = [],
            Replays = [],
        };
    }

    static EditedField Change(JsonElement change)
    {
        var (path, before, after) = FieldMasking.Change(
            change.GetProperty("path").GetString() ?? "",
            change.TryGetProperty("before", out var was) ? was : default, change.TryGetProperty("after", out var will) ? will : default);
        return new EditedField(path, before, after);
    }

    static DeadLetterGroup Group(NpgsqlDataReader reader)
    {
        var statuses = new Dictionary<string, long>();
        for (var column = 9; column <= 15; column++)
        {
            if (reader.GetInt64(column) is > 0 and var letters)
                statuses[reader.GetName(column)] = letters;
        }

        return new DeadLetterGroup
        {
            Fingerprint = reader.GetString(0),
            Reason = reader.GetString(1),
            ExceptionType = Masking.TypeName(Text(reader, 2)),
            MessageType = Masking.TypeName(Text(reader, 3)),
            Stack = Masking.Stack(Text(reader, 4)),
            FirstFailedAt = reader.GetDateTime(5),
            LastFailedAt = reader.GetDateTime(6),
            SampleId = reader.GetGuid(7),
            Letters = reader.GetInt64(8),
            Statuses = statuses,
            Queues = reader.IsDBNull(16) ? [] : reader.GetFieldValue<string[]>(16),
        };
    }

    static JsonElement? TryParse(byte[] body)
    {
        try
        {
            return Json(System.Text.Encoding.UTF8.GetString(body));
        }
        catch (JsonException)
        {
            return null;
        }
    }

    static JsonElement Json(string text) => JsonSerializer.Deserialize(text, DeadLetterJson.Default.JsonElement);

    static string? Text(NpgsqlDataReader reader, int column) => reader.IsDBNull(column) ? null : reader.GetString(column);

    static Guid? Id(NpgsqlDataReader reader, int column) => reader.IsDBNull(column) ? null : reader.GetGuid(column);

    static DateTime? Time(NpgsqlDataReader reader, int column) => reader.IsDBNull(column) ? null : reader.GetDateTime(column);

    static NpgsqlParameter<T> Value<T>(T value) => new() { TypedValue = value };
}
