using System.Net.Mime;
using Microsoft.OpenApi;
using Pulse.Contracts.Billing;
using Pulse.Ingress.Http;
using Pulse.Ingress.Operations;

namespace Pulse.Ingress.Billing;

/// <summary>What the API document says of these endpoints beyond their signatures.</summary>
static class BillingDescription
{
    public static void DescribeState(this RouteHandlerBuilder endpoint)
    {
        endpoint.WithName("billingState").WithTags("Billing")
            .WithSummary("What an organization may do by its billing, now.")
            .WithDescription("source is who decided: lifecycle, override, stripe or local_trial. The platform's own organization has no billing: 404 no_billing.");
        endpoint.ProducesProblem(StatusCodes.Status404NotFound);
        Tagged(endpoint);
    }

    public static void DescribeSet(this RouteHandlerBuilder endpoint)
    {
        endpoint.WithName("setBillingState").WithTags("Billing")
            .WithSummary("Sets parts of it, over Stripe's head.")
            .WithDescription("An override: pin, unless effect says grant or deny. Parts that are left out stay what they are without it. Of several the newest wins; deny beats all.")
            .DescribeCommand();
        endpoint.ProducesProblem(StatusCodes.Status412PreconditionFailed);
        endpoint.ProducesProblem(StatusCodes.Status413PayloadTooLarge);
        Tagged(endpoint);
        Matched(endpoint);
        endpoint.AddOpenApiOperationTransformer(async (operation, context, cancellationToken) =>
        {
            // The body is read by hand, for the sake of its limit, and behind the key.
            var body = await context.GetOrCreateSchemaAsync(typeof(BillingStateParts), null, cancellationToken);
            body.Properties ??= new Dictionary<string, IOpenApiSchema>();
            body.Properties["effect"] = new OpenApiSchema { Description = "pin when left out. deny takes everything away, and goes with no part of a state." };
            body.Properties["reason"] = new OpenApiSchema { Type = JsonSchemaType.String, MaxLength = BillingStateRules.ReasonMost };
            body.Properties["expires_at"] = new OpenApiSchema { Type = JsonSchemaType.String, Format = "date-time", Description = "When it ends by itself; in the future." };
            Among(body, "effect", BillingStateRules.Effects);
            Among(body, "subscription_state", BillingStateRules.States);
            operation.RequestBody = new OpenApiRequestBody
            {
                Required = true,
                Description = $"At most {JsonObjectBody.Most} bytes.",
                Content = new Dictionary<string, OpenApiMediaType> { [MediaTypeNames.Application.Json] = new() { Schema = body } },
            };
        });
    }

    public static void DescribeRevoke(this RouteHandlerBuilder endpoint)
    {
        endpoint.WithName("revokeBillingOverride").WithTags("Billing")
            .WithSummary("Takes back every override that is in force.")
            .WithDescription("What is then in force is what would be without them. Nothing to take back is no mistake.")
            .DescribeCommand();
        endpoint.ProducesProblem(StatusCodes.Status412PreconditionFailed);
        Tagged(endpoint);
        Matched(endpoint);
    }

    public static void DescribeExplain(this RouteHandlerBuilder endpoint)
    {
        endpoint.WithName("explainBillingState").WithTags("Billing")
            .WithSummary("Why it is what it is.")
            .WithDescription("The subscription, invoice, events and overrides that it comes from, how fresh that is, and when it will change by itself.");
        endpoint.ProducesProblem(StatusCodes.Status404NotFound);
        Tagged(endpoint);
    }

    static void Among(OpenApiSchema schema, string field, IReadOnlyList<string> values)
    {
        if (schema.Properties?.TryGetValue(field, out var property) == true && property is OpenApiSchema text)
        {
            text.Type = JsonSchemaType.String;
            text.Enum = [.. values.Select(value => (System.Text.Json.Nodes.JsonNode)value)];
        }
    }

    static void Tagged(RouteHandlerBuilder endpoint) => endpoint.AddOpenApiOperationTransformer((operation, _, _) =>
    {
        if (operation.Responses?.TryGetValue("200", out var response) == true && response is OpenApiResponse answer)
        {
            answer.Headers ??= new Dictionary<string, IOpenApiHeader>();
            answer.Headers["ETag"] = new OpenApiHeader { Description = "The version, for If-Match.", Schema = new OpenApiSchema { Type = JsonSchemaType.String } };
        }

        return Task.CompletedTask;
    });

    static void Matched(RouteHandlerBuilder endpoint) => endpoint.AddOpenApiOperationTransformer((operation, _, _) =>
    {
        operation.Parameters ??= [];
        operation.Parameters.Add(new OpenApiParameter
        {
            Name = "If-Match",
            In = ParameterLocation.Header,
            Description = "The ETag that was seen last: 412 when it has changed since.",
            Schema = new OpenApiSchema { Type = JsonSchemaType.String },
        });
        return Task.CompletedTask;
    });
}
