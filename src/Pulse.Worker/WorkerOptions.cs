using Npgsql;
using Pulse.Hosting;
using Pulse.Messaging;

namespace Pulse.Worker;

/// <summary>Where the worker's servers are.</summary>
sealed record WorkerOptions
{
    public required NpgsqlConnectionStringBuilder Postgres { get; init; }
    public required MessagingOptions Messaging { get; init; }

    public static WorkerOptions Read(Settings settings)
    {
        var concurrency = settings.Number("PULSE_WORKER_CONCURRENCY", otherwise: 16, least: 1, most: 200);
        var postgres = settings.Postgres("PULSE_POSTGRES");
        postgres.ApplicationName = "pulse-worker";
        // Every statement's text is fixed, so each is parsed and planned once a connection.
        postgres.MaxAutoPrepare = 64;
        postgres.AutoPrepareMinUsages = 2;
        // Nothing here leaves a setting or a temporary table behind.
        postgres.NoResetOnClose = true;
        postgres.MaxPoolSize = 4 * concurrency + 16;
        postgres.Timeout = 5;
        postgres.CommandTimeout = 30;
        postgres.KeepAlive = 10;
        return new WorkerOptions
        {
            Postgres = postgres,
            Messaging = new MessagingOptions { Broker = settings.Broker("PULSE_RABBITMQ"), Concurrency = concurrency, Prefetch = concurrency * 4 },
        };
    }
}
