using System.Net.Mime;
using Microsoft.OpenApi;

namespace Pulse.Ingress.Stripe;

static class StripeDescription
{
    /// <summary>What the API document says of the webhook endpoint beyond its signature.</summary>
    public static void DescribeWebhook(this RouteHandlerBuilder endpoint)
    {
        endpoint.WithName("stripeWebhook").WithTags("Stripe")
            .WithSummary("Takes an event of Stripe.")
            .WithDescription("Stored durably before it is answered, and applied later. A repeat is a duplicate, and dispatched again while it is not applied.");
        foreach (var status in (ReadOnlySpan<int>)[400, 413, 503])
            endpoint.ProducesProblem(status);

        endpoint.AddOpenApiOperationTransformer((operation, _, _) =>
        {
            operation.RequestBody = new OpenApiRequestBody
            {
                Required = true,
                Description = "An event, snapshot or thin, exactly as Stripe signed it; at most 524288 bytes.",
                Content = new Dictionary<string, OpenApiMediaType>
                {
                    [MediaTypeNames.Application.Json] = new() { Schema = new OpenApiSchema { Type = JsonSchemaType.Object } },
                },
            };
            operation.Parameters ??= [];
            operation.Parameters.Add(new OpenApiParameter
            {
                Name = StripeSignature.Header,
                In = ParameterLocation.Header,
                Required = true,
                Description = "t=<seconds>,v1=<HMAC-SHA256 of t.body in hex>; one t, 1 to 16 v1.",
                Schema = new OpenApiSchema { Type = JsonSchemaType.String },
            });
            return Task.CompletedTask;
        });
    }
}
