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
        // A worker that vanished without a word (power, network, a frozen machine) must not keep its locks: on inbox rows, which hold up
        // every redelivery, and on outbox rows, which every relay passes over. Longer than a relay waits for the broker's confirms.
        // And what counts a million rows must neither compile for it nor take every processor from those who wait for a row.
        if (!postgres.ShouldSerialize("Options"))
            postgres.Options = "-c jit=off -c max_parallel_workers_per_gather=0 -c idle_in_transaction_session_timeout=20000 -c tcp_keepalives_idle=10 -c tcp_keepalives_interval=5 -c tcp_keepalives_count=2";
        var broker = settings.Broker("PULSE_RABBITMQ");
        return new WorkerOptions
        {
            Postgres = postgres,
            Messaging = new MessagingOptions { Broker = broker[0], OtherNodes = [.. broker.Skip(1)], Concurrency = concurrency, Prefetch = concurrency * 4 },
        };
    }
}
