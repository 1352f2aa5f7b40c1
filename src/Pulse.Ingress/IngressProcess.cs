using System.Text;
using Pulse.Hosting;
using Pulse.Ingress.Admin;
using Pulse.Ingress.Authz;
using Pulse.Ingress.Billing;
using Pulse.Ingress.Console;
using Pulse.Ingress.DeadLetters;
using Pulse.Ingress.Entitlements;
using Pulse.Ingress.Health;
using Pulse.Ingress.Hooks;
using Pulse.Ingress.Http;
using Pulse.Ingress.Keys;
using Pulse.Ingress.Operations;
using Pulse.Ingress.Signups;
using Pulse.Ingress.Stripe;
using Pulse.Messaging;
using Pulse.Prometheus;

namespace Pulse.Ingress;

/// <summary>The process that the internet reaches: it stores what was asked, durably, and answers.</summary>
public static class IngressProcess
{
    /// <summary>Builds it from the environment.</summary>
    /// <param name="args">The command line; <c>--PULSE_NAME=value</c> stands for the variable.</param>
    /// <param name="configure">The last word on what is registered, for tests.</param>
    /// <exception cref="SettingsException">A variable is missing or wrong.</exception>
    public static WebApplication Build(string[] args, Action<IServiceCollection>? configure = null)
    {
        var builder = PulseProcess.CreateBuilder(args, out var settings, "PULSE_INGRESS_URL", "http://127.0.0.1:8080");
        builder.WebHost.ConfigureKestrel(kestrel =>
        {
            kestrel.Limits.RequestHeadersTimeout = TimeSpan.FromSeconds(10);
            // Any byte is a character: what is wrong with a header is then ours to say, as a problem.
            kestrel.RequestHeaderEncodingSelector = _ => Encoding.Latin1;
        });

        var services = builder.Services;
        services.AddPostgres(settings);
        services.AddOutboxPublisher();
        services.AddExceptionHandler<Unhandled>();
        services.AddApiDocument();
        services.AddKeys(settings);
        services.AddOperations(settings);
        services.AddSignups(settings);
        services.AddAdmin();
        services.AddLifecycle();
        services.AddBilling();
        services.AddDeadLetters();
        services.AddHealth();
        services.AddEntitlements(settings);
        services.AddStripeWebhooks(settings);
        services.AddHooks();
        services.AddAuthz(settings);
        services.AddEvaluation();
        services.AddPulseMetrics();

        var hosted = settings.Flag("PULSE_HOSTED_MODE", otherwise: false);
        var proxies = settings.Networks("PULSE_TRUSTED_PROXIES");
        settings.ThrowIfInvalid();
        configure?.Invoke(services);

        var app = builder.Build();
        app.UseAnswerHeaders();
        app.UseClientAddress(proxies);
        // An empty branch is how the middleware is told that Unhandled answers everything.
        app.UseExceptionHandler(_ => { });
        app.UseStatusCodePages(context => Problem.OfStatus(context.HttpContext.Response.StatusCode).WriteAsync(context.HttpContext));

        app.MapHealth();
        app.MapMetrics();
        app.MapOpenApi();

        // The one gate of every hosted endpoint. Not mapped rather than refused: no method and no body can tell that it is there.
        if (hosted)
        {
            app.MapSignups();
            app.MapOperations();
            app.MapAdmin();
            app.MapLifecycle();
            app.MapReaper();
            app.MapBilling();
            app.MapDeadLetters();
            app.MapHealthPage();
            app.MapConsole();
            app.MapEntitlements();
            app.MapStripeWebhooks();
            app.MapHooks();
            app.MapAuthz();
            app.MapEvaluation();
        }

        return app;
    }
}
