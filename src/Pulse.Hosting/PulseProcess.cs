using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Diagnostics.HealthChecks;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Diagnostics.HealthChecks;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Console;

namespace Pulse.Hosting;

/// <summary>What the worker and the ingress are alike in: settings, clock, logs, health, shutdown.</summary>
public static class PulseProcess
{
    /// <summary>Runs a process to its end.</summary>
    /// <param name="build">Builds it; what is wrong in the environment is thrown from here.</param>
    /// <returns>0 after a clean stop, 1 for what keeps it from starting, 2 for a wrong setting; both are printed.</returns>
    public static Task<int> RunAsync(Func<WebApplication> build) => RunAsync(async () =>
    {
        await build().RunAsync();
        return 0;
    });

    /// <summary>Runs a command of a process, which is no server, to its end.</summary>
    /// <param name="run">What is wrong in the environment is thrown from here.</param>
    /// <returns>What it returned, 1 for what keeps it from starting, 2 for a wrong setting; both are printed.</returns>
    public static async Task<int> RunAsync(Func<Task<int>> run)
    {
        try
        {
            return await run();
        }
        catch (SettingsException exception)
        {
            foreach (var mistake in exception.Mistakes)
                await Console.Error.WriteLineAsync(mistake);

            await Console.Error.WriteLineAsync("Nothing was started. Every variable is described in .env.example.");
            return 2;
        }
        catch (CannotStartException exception)
        {
            await Console.Error.WriteLineAsync(exception.Message);
            return 1;
        }
    }

    /// <summary>A builder with the clock, log lines, shutdown time and health checks of a Pulse process.</summary>
    /// <param name="args">The command line.</param>
    /// <param name="settings">What the process reads its environment through.</param>
    /// <param name="urlVariable">The variable with the address to listen on.</param>
    /// <param name="defaultUrl">Where it listens otherwise.</param>
    public static WebApplicationBuilder CreateBuilder(string[] args, out Settings settings, string urlVariable, string defaultUrl)
    {
        var builder = WebApplication.CreateBuilder(args);
        settings = new Settings(builder.Configuration);

        builder.WebHost.UseUrls(settings.Url(urlVariable, defaultUrl).ToString());
        builder.WebHost.ConfigureKestrel(kestrel => kestrel.AddServerHeader = false);
        builder.Services.Configure<HostOptions>(host =>
        {
            host.ShutdownTimeout = TimeSpan.FromSeconds(25);
            host.ServicesStartConcurrently = false;
        });

        builder.Logging.ClearProviders();
        builder.Logging.AddConsole(console => console.FormatterName = ConsoleFormatterNames.Simple);
        builder.Logging.AddSimpleConsole(console =>
        {
            console.SingleLine = true;
            console.TimestampFormat = "HH:mm:ss.fff ";
            console.UseUtcTimestamp = true;
            // Which process a line is from is the starter's to say, and so is its colour.
            console.ColorBehavior = LoggerColorBehavior.Disabled;
        });
        builder.Logging.AddFilter("Microsoft.AspNetCore", LogLevel.Warning);
        // Who asks is answered; a probe every second must not fill the log of an outage.
        builder.Logging.AddFilter("Microsoft.Extensions.Diagnostics.HealthChecks", LogLevel.Critical);
        // Npgsql tells of every statement at Information.
        builder.Logging.AddFilter("Npgsql", LogLevel.Warning);
        builder.Logging.AddFilter("Microsoft.Hosting.Lifetime", LogLevel.Information);

        builder.Services.AddSingleton(Clock(settings, builder.Environment));
        builder.Services.AddSingleton<Draining>();
        builder.Services.AddHealthChecks().AddCheck<Draining>("draining", tags: [ReadyTag]);
        return builder;
    }

    /// <summary>The tag of a health check that decides whether the process is ready.</summary>
    public const string ReadyTag = "ready";

    /// <summary>
    /// <c>/health/live</c>, which depends on nothing, and <c>/health/ready</c>; <c>/health/ping</c> is 204 and not a step more: what an answer
    /// of this process costs that takes no thought, for others to be compared with.
    /// </summary>
    public static void MapHealth(this IEndpointRouteBuilder routes)
    {
        routes.Map("/health/ping", (RequestDelegate)(context =>
        {
            context.Response.StatusCode = StatusCodes.Status204NoContent;
            return Task.CompletedTask;
        })).ExcludeFromDescription();
        routes.MapHealthChecks("/health/live", new HealthCheckOptions { Predicate = _ => false }).ExcludeFromDescription();
        routes.MapHealthChecks("/health/ready", new HealthCheckOptions
        {
            Predicate = check => check.Tags.Contains(ReadyTag),
            // MassTransit's bus without its broker is degraded, and degraded would be 200.
            ResultStatusCodes =
            {
                [HealthStatus.Degraded] = StatusCodes.Status503ServiceUnavailable,
            },
            ResponseWriter = (context, report) => context.Response.WriteAsJsonAsync(new
            {
                status = report.Status.ToString().ToLowerInvariant(),
                // Names and states only: what an exception says belongs in the log.
                checks = report.Entries.ToDictionary(entry => entry.Key, entry => entry.Value.Status.ToString().ToLowerInvariant()),
            }),
        }).ExcludeFromDescription();
    }

    static TimeProvider Clock(Settings settings, IHostEnvironment environment)
    {
        const string name = "PULSE_CLOCK_FILE";
        if (settings.Optional(name) is not { } file)
            return TimeProvider.System;

        if (environment.IsDevelopment())
            return new MovableClock(file);

        settings.Mistake(name, "is set, but the clock can be moved in development only (DOTNET_ENVIRONMENT=Development).");
        return TimeProvider.System;
    }
}
