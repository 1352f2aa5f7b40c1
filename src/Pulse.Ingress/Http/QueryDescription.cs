using System.Globalization;
using Microsoft.OpenApi;

namespace Pulse.Ingress.Http;

/// <summary>What the API document says of a list's query.</summary>
static class QueryDescription
{
    public static (string, string, OpenApiSchema) Limit => ("limit", "How many.", new OpenApiSchema
    {
        Type = JsonSchemaType.Integer,
        Minimum = "1",
        Maximum = ListQuery.LimitMost.ToString(CultureInfo.InvariantCulture),
        Default = ListQuery.LimitDefault,
    });

    public static (string, string, OpenApiSchema) After => ("cursor", "next_cursor of the part before.", new OpenApiSchema { Type = JsonSchemaType.String });

    /// <summary>They are read by hand: what the framework refuses is refused before the key is looked at.</summary>
    public static void DescribeQuery(this RouteHandlerBuilder endpoint, params (string Name, string Description, OpenApiSchema Schema)[] parameters) =>
        endpoint.AddOpenApiOperationTransformer((operation, _, _) =>
        {
            operation.Parameters ??= [];
            foreach (var (name, description, schema) in parameters)
                operation.Parameters.Add(new OpenApiParameter { Name = name, In = ParameterLocation.Query, Description = description, Schema = schema });

            return Task.CompletedTask;
        });
}
