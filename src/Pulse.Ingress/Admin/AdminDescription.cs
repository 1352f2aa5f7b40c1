using Microsoft.OpenApi;
using Pulse.Ingress.Http;
using Pulse.Ingress.Operations;

namespace Pulse.Ingress.Admin;

/// <summary>What the API document says of these endpoints beyond their signatures.</summary>
static class AdminDescription
{
    public static void DescribeList(this RouteHandlerBuilder endpoint)
    {
        endpoint.WithName("organizations").WithTags("Organizations")
            .WithSummary("Organizations, in parts.")
            .WithDescription("The newest first. With q, by name and then by the owner's email.");
        endpoint.ProducesProblem(StatusCodes.Status400BadRequest);
        endpoint.DescribeQuery(
            ("status", "Only these.", new OpenApiSchema { Type = JsonSchemaType.String, Enum = [.. AdminRules.Statuses.Select(status => (System.Text.Json.Nodes.JsonNode)status)] }),
            ("q", "Only those whose name, or whose owner's email, begins so, in small or capital letters.", new OpenApiSchema { Type = JsonSchemaType.String, MinLength = 1, MaxLength = AdminRules.SearchMost }),
            QueryDescription.Limit, QueryDescription.After);
    }

    public static void DescribeFind(this RouteHandlerBuilder endpoint)
    {
        endpoint.WithName("organization").WithTags("Organizations").WithSummary("One organization.")
            .WithDescription("org_id is a UUID of version 7, or default for the platform's own.");
        endpoint.ProducesProblem(StatusCodes.Status404NotFound);
    }

    public static void DescribeAudit(this RouteHandlerBuilder endpoint)
    {
        endpoint.WithName("audit").WithTags("Organizations")
            .WithSummary("Who changed what of an organization, the newest first.")
            .WithDescription("actor is key:<id>, oidc:<subject>, or what did it by itself: stripe, clock, reconciliation, plans, reaper, cli. Of an organization that was purged it is all that is left, with its certificate.");
        endpoint.ProducesProblem(StatusCodes.Status400BadRequest);
        endpoint.ProducesProblem(StatusCodes.Status404NotFound);
        endpoint.DescribeQuery(QueryDescription.Limit, QueryDescription.After);
    }

    public static void DescribeWholeAudit(this RouteHandlerBuilder endpoint)
    {
        endpoint.WithName("wholeAudit").WithTags("Audit")
            .WithSummary("Who changed what, of everything, the newest first.")
            .WithDescription("Also what is about no organization: replays of dead letters, and who saw one unmasked.");
        endpoint.ProducesProblem(StatusCodes.Status400BadRequest);
        endpoint.DescribeQuery(QueryDescription.Limit, QueryDescription.After);
    }

    public static void DescribeVerb(this RouteHandlerBuilder endpoint, string name, string summary, string? body)
    {
        endpoint.WithName(name).WithTags("Organizations").WithSummary(summary)
            .WithDescription((body is null ? "No body. " : $"The body may be left out where nothing in it is required. {body} ")
                + "409 tells by its code why the organization's status does not allow it.");
        endpoint.ProducesProblem(StatusCodes.Status409Conflict);
        endpoint.DescribeCommand();
        if (body is not null)
            endpoint.Accepts<LifecycleRequest>(isOptional: true, "application/json");
    }
}
