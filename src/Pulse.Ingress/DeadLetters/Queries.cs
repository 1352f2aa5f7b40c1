using System.Globalization;
using Npgsql;
using NpgsqlTypes;
using Pulse.Contracts.DeadLetters;
using Pulse.Ingress.Http;

namespace Pulse.Ingress.DeadLetters;

/// <param name="After">Where to go on.</param>
sealed record LetterQuery(DeadLetterFilter Filter, LetterPlace? After, int Limit);

/// <param name="Status">Only groups that have letters of this status, or open ones.</param>
sealed record GroupQuery(string? Queue, string? Status, GroupPlace? After, int Limit);

sealed record ReplayQuery(string? Status, LetterPlace? After, int Limit);

/// <summary>What an edit says.</summary>
sealed record EditBody
{
    /// <summary>The whole message as it shall be.</summary>
    public required System.Text.Json.JsonElement Message { get; init; }
    public required string Reason { get; init; }
}

/// <summary>A place among letters, by their last failure, or among replays.</summary>
sealed record LetterPlace(DateTime At, Guid Id)
{
    /// <summary>What a page's statement takes as $n and $n + 1: both null for the first page.</summary>
    public static NpgsqlParameter[] Parameters(LetterPlace? after) =>
    [
        new() { Value = (object?)after?.At ?? DBNull.Value, NpgsqlDbType = NpgsqlDbType.TimestampTz },
        new() { Value = (object?)after?.Id ?? DBNull.Value, NpgsqlDbType = NpgsqlDbType.Uuid },
    ];

    public string ToCursor(string list) => Cursor.Write(list, At.Ticks.ToString(CultureInfo.InvariantCulture), Id.ToString("N"));

    /// <summary>Null for a cursor of another list, or of none.</summary>
    public static LetterPlace? Read(string list, string cursor) =>
        Cursor.Read(cursor) is [var kind, var ticks, var id] && kind == list && Guid.TryParseExact(id, "N", out var parsed) && Time(ticks) is { } at
            ? new LetterPlace(at, parsed)
            : null;

    internal static DateTime? Time(string ticks) =>
        long.TryParse(ticks, NumberStyles.None, CultureInfo.InvariantCulture, out var number) && number <= DateTime.MaxValue.Ticks ? new DateTime(number, DateTimeKind.Utc) : null;
}

/// <summary>A place among groups.</summary>
sealed record GroupPlace(DateTime FailedAt, string Fingerprint)
{
    public string ToCursor() => Cursor.Write("g", FailedAt.Ticks.ToString(CultureInfo.InvariantCulture), Fingerprint);

    public static GroupPlace? Read(string cursor) =>
        Cursor.Read(cursor) is ["g", var ticks, { Length: <= 64 } fingerprint] && LetterPlace.Time(ticks) is { } at ? new GroupPlace(at, fingerprint) : null;
}
