using Microsoft.AspNetCore.Diagnostics;
using Npgsql;

namespace Pulse.Ingress.Http;

/// <summary>The one place where an exception becomes an answer: what Postgres can't do now is 503, what is left is our fault.</summary>
sealed partial class Unhandled(ILogger<Unhandled> log) : IExceptionHandler
{
    public async ValueTask<bool> TryHandleAsync(HttpContext httpContext, Exception exception, CancellationToken cancellationToken)
    {
        var problem = exception switch
        {
            // Kestrel's own: a body that breaks off, comes too slowly, is badly chunked.
            BadHttpRequestException request => Problem.OfStatus(request.StatusCode),
            NpgsqlException postgres when IsUnavailable(postgres) => Problem.Unavailable(),
            TimeoutException => Problem.Unavailable(),
            _ => Problem.Internal(),
        };

        if (problem.Status == StatusCodes.Status503ServiceUnavailable)
            Unavailable(log, Problem.TraceId(httpContext), exception.GetType().Name, (exception as NpgsqlException)?.SqlState, exception.InnerException?.GetType().Name);
        else if (problem.Status >= StatusCodes.Status500InternalServerError)
            Bug(log, exception, Problem.TraceId(httpContext));

        httpContext.Response.StatusCode = problem.Status;
        await problem.WriteAsync(httpContext);
        return true;
    }

    /// <summary>Whether the same request may succeed later, with no change of ours.</summary>
    public static bool IsUnavailable(NpgsqlException exception)
    {
        // No answer at all: unreachable, gone in the middle, too slow, no free connection in the pool.
        if (exception is not PostgresException { SqlState: var state })
            return true;

        return state[..2] switch
        {
            // Connection, out of resources, shutting down, internal.
            "08" or "53" or "57" or "58" or "XX" => true,
            // Deadlock and serialization; a password that is being changed.
            "40" or "28" => true,
            // The rest: a lock not given, a standby.
            _ => state is PostgresErrorCodes.LockNotAvailable or PostgresErrorCodes.ReadOnlySqlTransaction
                // Not created or not migrated yet, or a migration changed what is prepared.
                or PostgresErrorCodes.InvalidCatalogName or PostgresErrorCodes.InvalidSchemaName or PostgresErrorCodes.UndefinedTable
                or PostgresErrorCodes.InsufficientPrivilege or PostgresErrorCodes.FeatureNotSupported,
        };
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "{TraceId} answered 503: {Exception} {SqlState} {Inner}")]
    static partial void Unavailable(ILogger logger, string traceId, string exception, string? sqlState, string? inner);

    [LoggerMessage(Level = LogLevel.Error, Message = "{TraceId} answered 500")]
    static partial void Bug(ILogger logger, Exception exception, string traceId);
}
