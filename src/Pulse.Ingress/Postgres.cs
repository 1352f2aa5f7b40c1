using Npgsql;
using Pulse.Hosting;
using Pulse.Ingress.Signups;

namespace Pulse.Ingress;

static class Postgres
{
    /// <summary>The pool, as role pulse_ingress. Every wait on it is bounded: a request is answered within seconds when Postgres is not.</summary>
    public static void AddPostgres(this IServiceCollection services, Settings settings)
    {
        var address = settings.Postgres("PULSE_POSTGRES");
        address.ApplicationName = "pulse-ingress";
        // Every statement of ours leaves the session as it found it.
        address.NoResetOnClose = true;
        // The detail of an error quotes rows, and the log is no place for an email.
        address.IncludeErrorDetail = false;
        if (!address.ShouldSerialize("Maximum Pool Size"))
            address.MaxPoolSize = 32;

        // Seconds. Timeout is for a new connection and for a free one of the pool.
        address.Timeout = 3;
        address.CommandTimeout = 5;
        // A Postgres that works stops a slow statement itself, just before. One that is frozen is asked to stop in vain, for
        // twice Timeout more: eleven seconds are the most that a statement takes. And an ingress that is frozen itself, in a
        // transaction, must not keep its locks.
        address.CancellationTimeout = -1;
        if (!address.ShouldSerialize("Options"))
            address.Options = "-c statement_timeout=4000 -c idle_in_transaction_session_timeout=10000";
        address.MaxAutoPrepare = 40;
        address.AutoPrepareMinUsages = 2;

        services.AddSingleton(provider =>
        {
            var builder = new NpgsqlDataSourceBuilder(address.ConnectionString);
            builder.UseLoggerFactory(provider.GetRequiredService<ILoggerFactory>());
            return builder.Build();
        });
        // Not migrated yet is not ready.
        services.AddHealthChecks().Add(new("postgres",
            provider => new PostgresHealth(provider.GetRequiredService<NpgsqlDataSource>(), SignupTable.Probe),
            failureStatus: null,
            tags: [PulseProcess.ReadyTag]));
    }
}
