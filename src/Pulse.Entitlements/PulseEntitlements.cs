using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using Npgsql;

namespace Pulse.Entitlements;

/// <summary>Makes an <see cref="EntitlementReader"/> part of a service.</summary>
public static class PulseEntitlements
{
    /// <summary>
    /// Registers a singleton <see cref="EntitlementReader"/>, and a hosted service that hears of changes: without a host the reader works as
    /// well, and sees a change within <see cref="EntitlementOptions.Fresh"/>. A registered <see cref="TimeProvider"/> is its clock, otherwise
    /// the system's.
    /// </summary>
    /// <param name="services">The service's.</param>
    /// <param name="configure">Sets what is to differ from the defaults; at least <see cref="EntitlementOptions.ConnectionString"/> where no
    /// <see cref="NpgsqlDataSource"/> is registered.</param>
    /// <returns>The same.</returns>
    /// <exception cref="ArgumentException">An option is out of its bounds; the message names it.</exception>
    public static IServiceCollection AddPulseEntitlements(this IServiceCollection services, Action<EntitlementOptions>? configure = null)
    {
        var options = new EntitlementOptions();
        configure?.Invoke(options);
        options.Validate();

        services.TryAddSingleton(TimeProvider.System);
        services.TryAddSingleton(provider => new EntitlementSource(provider, options));
        services.TryAddSingleton(provider => new EntitlementReader(
            provider.GetRequiredService<EntitlementSource>().DataSource, options, provider.GetRequiredService<TimeProvider>(), Log<EntitlementReader>(provider)));
        services.AddSingleton<IHostedService>(provider => new EntitlementPush(
            provider.GetRequiredService<EntitlementSource>().DataSource, provider.GetRequiredService<EntitlementReader>(), options,
            provider.GetRequiredService<TimeProvider>(), Log<EntitlementPush>(provider)));
        return services;
    }

    static ILogger<T> Log<T>(IServiceProvider provider) => provider.GetService<ILogger<T>>() ?? NullLogger<T>.Instance;

    /// <summary>The service's own pool, or one that is made for the reader alone and goes with it.</summary>
    sealed class EntitlementSource : IDisposable
    {
        readonly bool _own;

        public EntitlementSource(IServiceProvider provider, EntitlementOptions options)
        {
            _own = options.ConnectionString is not null;
            DataSource = options.ConnectionString is { } address
                ? Open(address, options)
                : provider.GetService<NpgsqlDataSource>() ?? throw new InvalidOperationException(
                    $"Entitlements have no store: set {nameof(EntitlementOptions)}.{nameof(EntitlementOptions.ConnectionString)}, or register an NpgsqlDataSource.");
        }

        public NpgsqlDataSource DataSource { get; }

        static NpgsqlDataSource Open(string address, EntitlementOptions options)
        {
            var builder = new NpgsqlConnectionStringBuilder(address);
            if (!builder.ShouldSerialize("Application Name"))
                builder.ApplicationName = "pulse-entitlements";
            // One listens, one reads; the others are for queries that did not come back.
            if (!builder.ShouldSerialize("Maximum Pool Size"))
                builder.MaxPoolSize = 8;
            if (!builder.ShouldSerialize("Timeout"))
                builder.Timeout = Math.Max(1, (int)Math.Ceiling(options.Timeout.TotalSeconds * 2));
            if (!builder.ShouldSerialize("Max Auto Prepare"))
                (builder.MaxAutoPrepare, builder.AutoPrepareMinUsages) = (4, 2);
            return NpgsqlDataSource.Create(builder.ConnectionString);
        }

        public void Dispose()
        {
            if (_own)
                DataSource.Dispose();
        }
    }
}
