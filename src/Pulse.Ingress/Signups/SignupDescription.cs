using System.Net.Mime;
using Microsoft.OpenApi;

namespace Pulse.Ingress.Signups;

/// <summary>What the API document says of the two endpoints beyond their signatures.</summary>
static class SignupDescription
{
    public static void DescribeRequest(this RouteHandlerBuilder endpoint)
    {
        endpoint.WithName("requestSignup").WithTags("Signup")
            .WithSummary("Asks for a new organization with its owner.")
            .WithDescription("Stored durably before it is answered. The answer is the same whether the email is known or not; what became of it is at status_url.");
        foreach (var status in (ReadOnlySpan<int>)[400, 409, 413, 422, 429, 503])
            endpoint.ProducesProblem(status);

        endpoint.AddOpenApiOperationTransformer(async (operation, context, cancellationToken) =>
        {
            // The body is read by hand, for the sake of its limit: routing would refuse another content type with 415.
            var body = await context.GetOrCreateSchemaAsync(typeof(SignupRequest), null, cancellationToken);
            foreach (var (name, format) in (ReadOnlySpan<(string, string?)>)[("email", "email"), ("password", "password"), ("org_name", null)])
            {
                // Nullable is how they are parsed, not how they are wanted.
                var field = (OpenApiSchema)body.Properties![name];
                field.Type = JsonSchemaType.String;
                field.Format = format;
            }

            operation.RequestBody = new OpenApiRequestBody
            {
                Required = true,
                Description = $"At most {SignupEndpoints.BodyMost} bytes.",
                Content = new Dictionary<string, OpenApiMediaType>
                {
                    [MediaTypeNames.Application.Json] = new() { Schema = body },
                },
            };
            operation.Parameters ??= [];
            operation.Parameters.Add(new OpenApiParameter
            {
                Name = SignupEndpoints.KeyHeader,
                In = ParameterLocation.Header,
                Description = "With the same key and body the first answer comes again, for 24 hours, and nothing is done twice.",
                Schema = new OpenApiSchema { Type = JsonSchemaType.String, MinLength = 1, MaxLength = 255, Pattern = "^[!-~]+$" },
            });
            Header(operation, "202", "Location", "The status_url.");
            foreach (var status in (ReadOnlySpan<string>)["202", "409", "429", "503"])
                Header(operation, status, "Retry-After", "Seconds.");
            foreach (var status in (ReadOnlySpan<string>)["202", "429"])
            {
                Header(operation, status, "RateLimit", "draft-ietf-httpapi-ratelimit-headers: \"signup\";r=<left>;t=<seconds>.");
                Header(operation, status, "RateLimit-Policy", "draft-ietf-httpapi-ratelimit-headers: \"signup\";q=<quota>;w=<seconds>.");
            }
        });
    }

    public static void DescribeStatus(this RouteHandlerBuilder endpoint)
    {
        endpoint.WithName("signupStatus").WithTags("Signup")
            .WithSummary("How far a signup is.")
            .WithDescription("status is accepted, awaiting_verification, provisioning, provisioned, existing or failed; org_id is there once it is provisioned.");
        endpoint.ProducesProblem(StatusCodes.Status404NotFound);
        endpoint.ProducesProblem(StatusCodes.Status503ServiceUnavailable);
        endpoint.AddOpenApiOperationTransformer((operation, _, _) =>
        {
            if (operation.Parameters is [OpenApiParameter { Schema: OpenApiSchema id }])
                id.Format = "uuid";

            return Task.CompletedTask;
        });
    }

    static void Header(OpenApiOperation operation, string status, string name, string description)
    {
        if (operation.Responses?.TryGetValue(status, out var response) != true || response is not OpenApiResponse answer)
            return;

        answer.Headers ??= new Dictionary<string, IOpenApiHeader>();
        answer.Headers[name] = new OpenApiHeader { Description = description, Schema = new OpenApiSchema { Type = JsonSchemaType.String } };
    }
}
