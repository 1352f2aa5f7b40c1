using Microsoft.AspNetCore.Http.HttpResults;
using Pulse.Hosting;
using Pulse.Ingress.Http;

namespace Pulse.Ingress.Stripe;

/// <summary>Where Stripe posts its events. Stored durably, and not interpreted: that is the worker's.</summary>
static class StripeWebhookEndpoint
{
    public const string Path = "/api/webhooks/stripe";

    /// <summary>Without a secret in the environment there is nothing to verify with, and nothing is registered.</summary>
    public static void AddStripeWebhooks(this IServiceCollection services, Settings settings)
    {
        if (StripeWebhookOptions.Read(settings) is not { } options)
            return;

        services.AddSingleton(options);
        services.AddSingleton<StripeMetrics>();
        services.AddSingleton<StripeIntake>();
        services.ConfigureHttpJsonOptions(json => json.SerializerOptions.TypeInfoResolverChain.Insert(0, StripeJson.Default));
    }

    public static void MapStripeWebhooks(this IEndpointRouteBuilder routes)
    {
        if (routes.ServiceProvider.GetService<StripeWebhookOptions>() is null)
            return;

        // Made now, so that its series are there from the start.
        routes.ServiceProvider.GetRequiredService<StripeMetrics>();
        routes.MapPost(Path, ReceiveAsync).DescribeWebhook();
    }

    static async Task<Results<Ok<StripeReceipt>, ProblemHttpResult>> ReceiveAsync(
        HttpContext context, StripeIntake intake, StripeWebhookOptions options, StripeMetrics metrics, TimeProvider clock, CancellationToken cancellationToken)
    {
        if (await LimitedBody.ReadAsync(context.Request, options.BodyMost, cancellationToken) is not { } body)
            return Problem.PayloadTooLarge(options.BodyMost).On(context);

        // Several headers are one with several t, as the standard joins them: malformed.
        var header = context.Request.Headers[StripeSignature.Header].ToString();
        if (StripeSignature.Check(header, body, options, clock.GetUtcNow()) is { } failure)
        {
            metrics.Failed(failure);
            return InvalidSignature().On(context);
        }

        if (StripeEvent.Parse(body) is not { } received)
            return Problem.InvalidRequest("The body must be a JSON object with the texts id and type: an event of Stripe.").On(context);

        return await intake.TakeAsync(received) switch
        {
            StripeIntakeOutcome.Accepted => TypedResults.Ok(StripeReceipt.Accepted),
            StripeIntakeOutcome.Duplicate => TypedResults.Ok(StripeReceipt.Duplicate),
            _ => Problem.Unavailable().On(context),
        };
    }

    // One answer whatever is wrong with it: who tries signatures learns nothing. The metric says more.
    static Problem InvalidSignature() =>
        new(StatusCodes.Status400BadRequest, "invalid_signature", "The signature is not valid",
            $"{StripeSignature.Header} must hold one current t and a v1 that a secret of this endpoint made of t and the body.");
}
