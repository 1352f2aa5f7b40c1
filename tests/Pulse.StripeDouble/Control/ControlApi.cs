using System.Text.Json;
using System.Text.Json.Nodes;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Pulse.StripeDouble.Api;
using Pulse.StripeDouble.State;
using Pulse.StripeDouble.Webhooks;

namespace Pulse.StripeDouble.Control;

/// <summary>One thing that can be told to the double.</summary>
/// <param name="Name">The path under <c>/control/</c>.</param>
/// <param name="Takes">The names of its body; a ? for what may be left out.</param>
/// <param name="Does">What it does.</param>
/// <param name="Carry">Does it.</param>
sealed record ControlAction(string Name, string Takes, string Does, Func<StripeServer, ControlBody, Task<JsonNode?>> Carry);

/// <summary>
/// <c>POST /control/NAME</c> with a JSON object does what <see cref="Account"/>'s method of that name does, and answers with the object
/// and the events that it made. <c>GET /control</c> lists it all.
/// </summary>
static class ControlApi
{
    public static void MapControl(this IEndpointRouteBuilder routes, StripeServer server)
    {
        var actions = AccountActions.All.Concat(DeliveryActions.All).ToList();
        routes.MapGet("/control", () => Results.Text(string.Join('\n', actions.Select(action =>
            $"POST /control/{action.Name,-28} {{{action.Takes}}}\n     {action.Does}")) + "\n"));
        foreach (var action in actions)
            routes.MapPost($"/control/{action.Name}", context => CarryAsync(context, server, action));
    }

    static async Task CarryAsync(HttpContext context, StripeServer server, ControlAction action)
    {
        JsonNode answer;
        try
        {
            var before = server.Account.LastSequence;
            var body = await ControlBody.ReadAsync(context.Request.Body);
            if (body.Strangers(action.Takes) is { Count: > 0 } strangers)
                throw StripeException.Invalid($"/control/{action.Name} does not know {string.Join(", ", strangers)}. It takes {{{action.Takes}}}.");

            var result = await action.Carry(server, body);
            answer = new JsonObject
            {
                ["result"] = result,
                ["events"] = new JsonArray([.. server.Account.EventsSince(before).Select(made => (JsonNode)new JsonObject { ["id"] = made.Id, ["type"] = made.Type })]),
            };
        }
        catch (StripeException exception)
        {
            context.Response.StatusCode = exception.Status;
            answer = exception.ToJson("req_control");
        }

        context.Response.ContentType = "application/json";
        await context.Response.WriteAsync(answer.ToJsonString(new JsonSerializerOptions { WriteIndented = true }) + "\n");
    }
}
