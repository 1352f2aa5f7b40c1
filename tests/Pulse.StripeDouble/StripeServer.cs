using System.Net;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Pulse.StripeDouble.Api;
using Pulse.StripeDouble.Control;
using Pulse.StripeDouble.State;
using Pulse.StripeDouble.Webhooks;

namespace Pulse.StripeDouble;

/// <summary>
/// A stateful Stripe: its API over HTTP, webhooks, and faults. In a test: <c>await using var stripe = await StripeServer.StartAsync();</c>,
/// then what happens at Stripe is said to <see cref="Account"/>.
/// </summary>
public sealed class StripeServer : IAsyncDisposable
{
    readonly CancellationTokenSource _stopping = new();
    readonly Task _time;
    WebApplication? _app;

    internal StripeServer(StripeOptions options)
    {
        Options = options;
        Account = new Account(options);
        Faults = new ApiFaults(options.Seed);
        Webhooks = new WebhookSender(Account, options);
        _time = Task.Run(PassTimeAsync);
    }

    /// <summary>How it was set up.</summary>
    public StripeOptions Options { get; }

    /// <summary>What Stripe keeps, and what can happen to it.</summary>
    public Account Account { get; }

    /// <summary>The delivery of events.</summary>
    public WebhookSender Webhooks { get; }

    /// <summary>What goes wrong with the API.</summary>
    public ApiFaults Faults { get; }

    /// <summary>What the API was asked for.</summary>
    public Requests Requests { get; } = new();

    /// <summary>Where it listens: what <c>PULSE_STRIPE_API_BASE</c> is to be.</summary>
    public Uri Url => new(_app!.Urls.First());

    /// <summary>Starts one in this process.</summary>
    public static async Task<StripeServer> StartAsync(StripeOptions? options = null)
    {
        var server = new StripeServer(options ?? new StripeOptions());
        var builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions());
        builder.WebHost.UseKestrelCore().UseUrls(server.Options.Url.ToString());
        builder.Services.AddRoutingCore();
        builder.Services.Configure<HostOptions>(host => host.ShutdownTimeout = TimeSpan.FromSeconds(1));
        server._app = builder.Build();
        server._app.UseRouting();
        server.Map(server._app);
        await server._app.StartAsync();
        return server;
    }

    /// <summary>Its API and its control API.</summary>
    internal void Map(IEndpointRouteBuilder routes)
    {
        new StripeApi(routes, Account, Faults, Requests, Options).MapAll();
        routes.MapControl(this);
    }

    // A clock that was moved from outside is noticed without anybody asking.
    async Task PassTimeAsync()
    {
        using var timer = new PeriodicTimer(TimeSpan.FromMilliseconds(100));
        try
        {
            while (await timer.WaitForNextTickAsync(_stopping.Token))
                Account.PassTime();
        }
        catch (OperationCanceledException)
        {
            // The end.
        }
    }

    /// <summary>Stops it.</summary>
    public async ValueTask DisposeAsync()
    {
        await _stopping.CancelAsync();
        await _time;
        await Webhooks.DisposeAsync();
        if (_app is not null)
        {
            await _app.StopAsync();
            await _app.DisposeAsync();
        }

        Account.Dispose();
    }
}
