using System.Text.Json;
using Npgsql;
using NpgsqlTypes;
using Pulse.Messaging;

namespace Pulse.Worker.DeadLetters;

/// <summary>What is written to the audit log of what operators do with dead letters: ids and numbers, and the reason that they gave.</summary>
static class DeadLetterAudit
{
    const string AppendSql = "select pulse.append_audit($1, $2, $3, $4, null, $5, $6)";

    /// <summary>With the commit. Last: it holds the one lock of the audit log.</summary>
    public static void Append(MessageTransaction transaction, DateTimeOffset now, string actor, string action, Guid? orgId, object after, string cause)
    {
        var command = new NpgsqlBatchCommand(AppendSql);
        command.Parameters.AddRange(Parameters(now, actor, action, orgId, after, cause));
        transaction.Defer(command);
    }

    /// <summary>At once. Commit right after it.</summary>
    public static async Task AppendAsync(
        NpgsqlConnection connection, DateTimeOffset now, string actor, string action, Guid? orgId, object after, string cause, CancellationToken cancellationToken)
    {
        await using var command = new NpgsqlCommand(AppendSql, connection);
        command.Parameters.AddRange(Parameters(now, actor, action, orgId, after, cause));
        await command.ExecuteNonQueryAsync(cancellationToken);
    }

    static NpgsqlParameter[] Parameters(DateTimeOffset now, string actor, string action, Guid? orgId, object after, string cause) =>
    [
        new NpgsqlParameter<DateTime> { TypedValue = now.UtcDateTime },
        new NpgsqlParameter<string> { TypedValue = actor },
        new NpgsqlParameter<string> { TypedValue = action },
        new() { Value = (object?)orgId ?? DBNull.Value, NpgsqlDbType = NpgsqlDbType.Uuid },
        new() { Value = JsonSerializer.Serialize(after), NpgsqlDbType = NpgsqlDbType.Jsonb },
        new NpgsqlParameter<string> { TypedValue = cause },
    ];
}
