using Npgsql;
using NpgsqlTypes;

namespace Pulse.Ingress.Hooks;

/// <summary>The one statement on calls of the platform's hook that this process may run.</summary>
static class HookTable
{
    // By the token's hash, so what the time of the look-up could tell is of the hash, and nothing leads from there to a token.
    const string CompleteSql = "select answer, call_id from pulse.complete_hook_call($1, $2, $3, $4)";

    /// <returns>taken, repeated, contradicted, late or unknown; and which call it is.</returns>
    public static async Task<(string Answer, Guid? CallId)> CompleteAsync(
        NpgsqlConnection connection, byte[] tokenHash, HookCompletion completion, DateTime now, CancellationToken cancellationToken)
    {
        await using var command = new NpgsqlCommand(CompleteSql, connection);
        command.Parameters.Add(new NpgsqlParameter<byte[]> { TypedValue = tokenHash });
        command.Parameters.Add(new NpgsqlParameter<string> { TypedValue = completion.Status });
        command.Parameters.Add(new NpgsqlParameter { Value = (object?)completion.Reason ?? DBNull.Value, NpgsqlDbType = NpgsqlDbType.Text });
        command.Parameters.Add(new NpgsqlParameter<DateTime> { TypedValue = now });
        await using var row = await command.ExecuteReaderAsync(cancellationToken);
        await row.ReadAsync(cancellationToken);
        return (row.GetString(0), row.IsDBNull(1) ? null : row.GetGuid(1));
    }
}
