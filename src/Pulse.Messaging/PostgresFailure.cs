using System.Net.Sockets;
using Npgsql;

namespace Pulse.Messaging;

/// <summary>Tells a Postgres that is not there from a statement that it refused.</summary>
public static class PostgresFailure
{
    /// <summary>
    /// True when Postgres can't be reached, is starting or stopping, or has no connection left: when waiting helps and the message is not to blame.
    /// </summary>
    /// <param name="exception">Looked through with all its causes.</param>
    public static bool IsUnavailable(Exception? exception) => exception switch
    {
        null => false,
        // Classes 08 (connection), 53 (resources), 57P (operator intervention) and read-only after a fail-over.
        PostgresException postgres => postgres.SqlState is "57P01" or "57P02" or "57P03" or "25006"
            || postgres.SqlState.StartsWith("08", StringComparison.Ordinal)
            || postgres.SqlState.StartsWith("53", StringComparison.Ordinal),
        NpgsqlException { InnerException: IOException or SocketException or TimeoutException or null } => true,
        NpgsqlException npgsql => npgsql.IsTransient || IsUnavailable(npgsql.InnerException),
        AggregateException aggregate => aggregate.InnerExceptions.Any(IsUnavailable),
        _ => IsUnavailable(exception.InnerException),
    };

    /// <summary>True when a statement was refused for the data it was given (class 22: out of range, malformed, division by zero): waiting does not help.</summary>
    /// <param name="exception">Looked through with all its causes.</param>
    public static bool IsOfData(Exception? exception) => exception switch
    {
        null => false,
        PostgresException postgres => postgres.SqlState.StartsWith("22", StringComparison.Ordinal),
        _ => IsOfData(exception.InnerException),
    };
}
