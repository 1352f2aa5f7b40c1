using Microsoft.AspNetCore.Mvc;
using Microsoft.OpenApi;

namespace Pulse.Ingress.Http;

static class ApiDocument
{
    /// <summary><c>/openapi/v1.json</c>.</summary>
    public static void AddApiDocument(this IServiceCollection services) => services.AddOpenApi("v1", document =>
    {
        document.AddDocumentTransformer((api, _, _) =>
        {
            api.Info.Title = "Pulse";
            api.Info.Description = "The public endpoints of the control plane. Errors are RFC 9457 problems.";
            // Where a caller reaches it is not what this process listens on.
            api.Servers?.Clear();
            return Task.CompletedTask;
        });
        document.AddSchemaTransformer((schema, context, _) =>
        {
            if (context.JsonTypeInfo.Type == typeof(ProblemDetails))
                Describe(schema);

            return Task.CompletedTask;
        });
    });

    static void Describe(OpenApiSchema problem)
    {
        problem.Properties = new Dictionary<string, IOpenApiSchema>
        {
            ["type"] = new OpenApiSchema { Type = JsonSchemaType.String, Format = "uri", Description = "urn:pulse:problem:<code>" },
            ["title"] = new OpenApiSchema { Type = JsonSchemaType.String },
            ["status"] = new OpenApiSchema { Type = JsonSchemaType.Integer, Format = "int32" },
            ["detail"] = new OpenApiSchema { Type = JsonSchemaType.String },
        };
        problem.Properties["code"] = new OpenApiSchema { Type = JsonSchemaType.String, Description = "What to tell kinds of problems apart by." };
        problem.Properties["trace_id"] = new OpenApiSchema { Type = JsonSchemaType.String, Description = "What the platform's log calls this request." };
        problem.Properties["errors"] = new OpenApiSchema
        {
            Type = JsonSchemaType.Object,
            Description = "A field's name → what is wrong with it.",
            AdditionalProperties = new OpenApiSchema { Type = JsonSchemaType.Array, Items = new OpenApiSchema { Type = JsonSchemaType.String } },
        };
        problem.Required = new HashSet<string> { "type", "title", "status", "detail", "code", "trace_id" };
    }
}
