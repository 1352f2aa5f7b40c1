using Microsoft.AspNetCore.Builder;
using Microsoft.Extensions.DependencyInjection;
using Pulse.Hosting;
using Pulse.StripeDouble;

return await PulseProcess.RunAsync(() =>
{
    var builder = PulseProcess.CreateBuilder(args, out var settings, "PULSE_STRIPE_URL", "http://127.0.0.1:8082");
    var options = new StripeOptions
    {
        ApiKey = settings.Optional("PULSE_STRIPE_API_KEY") ?? "sk_test_double",
        // Those of deploy/plans.example.json.
        Prices = new Dictionary<string, string>
        {
            ["price_starter"] = "starter_monthly",
            ["price_pro"] = "pro_monthly",
            ["price_extra_seats"] = "extra_seats_monthly",
        },
        Journal = settings.Optional("PULSE_STRIPE_JOURNAL"),
        Endpoints = settings.Optional("PULSE_STRIPE_WEBHOOK_URL") is { } url
            ? [new WebhookEndpoint(new Uri(url), settings.Required("PULSE_STRIPE_WEBHOOK_SECRET", "what events are signed with").Split(','))]
            : [],
    };
    settings.ThrowIfInvalid();

    builder.Services.AddSingleton(services => new StripeServer(options with { Clock = services.GetRequiredService<TimeProvider>() }));
    var app = builder.Build();
    app.MapHealth();
    app.Services.GetRequiredService<StripeServer>().Map(app);
    return app;
});
