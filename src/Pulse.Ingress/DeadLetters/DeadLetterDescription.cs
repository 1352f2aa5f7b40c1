using Microsoft.OpenApi;
using Pulse.Contracts.DeadLetters;
using Pulse.Ingress.Http;
using Pulse.Ingress.Operations;

namespace Pulse.Ingress.DeadLetters;

/// <summary>What the API document says of these endpoints beyond their signatures.</summary>
static class DeadLetterDescription
{
    const string Tag = "Dead letters";
    const string Masked = "Payloads, headers and exceptions show what is known to be harmless; the rest is •••.";

    public static void DescribeLetters(this RouteHandlerBuilder endpoint)
    {
        endpoint.WithName("deadLetters").WithTags(Tag).WithSummary("Dead letters, in parts, the newest failure first.").WithDescription(Masked + " What is found here is what a plan with the same filter finds.");
        endpoint.ProducesProblem(StatusCodes.Status400BadRequest);
        endpoint.DescribeQuery(
            ("queue", "The queue that failed, without _error or _skipped.", Text()),
            ("type", "The message's type, such as Pulse.Contracts.Billing:SyncStripeCustomer.", Text()),
            ("exception", "The exception's whole type name.", Text()),
            ("fingerprint", "A group's.", Text()),
            ("reason", "How it came to be dead.", Among("fault", "skipped", "delivery_limit", "other")),
            ("org", "The organization that the message is about.", Text()),
            ("id", "Any UUID that occurs in the message.", Text()),
            ("status", "One or more, separated by commas.", Among([DeadLetterRules.Open, .. DeadLetterStatus.All])),
            ("from", "Failed last at this time or later.", Time()),
            ("to", "Failed last before this time.", Time()),
            ("q", "Words that all occur in the exception, the message's type or the queue.", Text()),
            QueryDescription.Limit, QueryDescription.After);
    }

    public static void DescribeGroups(this RouteHandlerBuilder endpoint)
    {
        endpoint.WithName("deadLetterGroups").WithTags(Tag).WithSummary("Letters that failed alike, in parts, the newest failure first.")
            .WithDescription("Alike: the same exception, thrown at the same place, for the same type of message. " + Masked);
        endpoint.ProducesProblem(StatusCodes.Status400BadRequest);
        endpoint.DescribeQuery(
            ("queue", "Only groups with letters of this queue.", Text()),
            ("status", "Only groups with letters of this status; open: parked, failed_again or quarantined.", Among([DeadLetterRules.Open, .. DeadLetterStatus.All])),
            QueryDescription.Limit, QueryDescription.After);
    }

    public static void DescribeLetter(this RouteHandlerBuilder endpoint)
    {
        endpoint.WithName("deadLetter").WithTags(Tag).WithSummary("One dead letter: payload, headers, stack, failures and replays.").WithDescription(Masked);
        endpoint.ProducesProblem(StatusCodes.Status404NotFound);
    }

    public static void DescribeReveal(this RouteHandlerBuilder endpoint)
    {
        endpoint.WithName("revealDeadLetter").WithTags(Tag).WithSummary("One dead letter unmasked. Each look is in the audit log before it is answered.")
            .WithDescription($"No body. After a 202 ask again with the same Idempotency-Key. A look is over after {DeadLetterCommands.RevealedFor.TotalMinutes} minutes: 409 reveal_expired.");
        Command(endpoint);
    }

    public static void DescribeEdit(this RouteHandlerBuilder endpoint)
    {
        endpoint.WithName("editDeadLetter").WithTags(Tag).WithSummary("Makes an edited copy of a letter, under a message id of its own. What differs is stored and audited.")
            .WithDescription("Needs deadletters:reveal as well. 409 edit_disabled unless PULSE_REPLAY_EDIT=true; 400 invalid_message if it is no message of its type. The copy is parked, to be replayed like any other; the letter itself is discarded.");
        Command(endpoint);
        endpoint.Accepts<EditBody>("application/json");
    }

    public static void DescribeSelection(this RouteHandlerBuilder endpoint, string name, string summary)
    {
        endpoint.WithName(name).WithTags(Tag).WithSummary(summary)
            .WithDescription($"Either ids, at most {PlanRequest.MostIds}, or a filter; and a reason of 1 to {DeadLetterRules.ReasonMost} characters, without personal data.");
        Command(endpoint);
        endpoint.Accepts<SelectionRequest>("application/json");
    }

    public static void DescribeReplays(this RouteHandlerBuilder endpoint)
    {
        endpoint.WithName("replays").WithTags(Tag).WithSummary("Plans and replays, in parts, the newest first.");
        endpoint.ProducesProblem(StatusCodes.Status400BadRequest);
        endpoint.DescribeQuery(("status", "Only these.", Among([.. ReplayStatus.All])), QueryDescription.Limit, QueryDescription.After);
    }

    public static void DescribeReplay(this RouteHandlerBuilder endpoint)
    {
        endpoint.WithName("replay").WithTags(Tag).WithSummary("One replay, and how far it is.").WithDescription("troubled: up to 50 letters that failed again, got no answer or were excluded.");
        endpoint.ProducesProblem(StatusCodes.Status404NotFound);
    }

    public static void DescribePlan(this RouteHandlerBuilder endpoint)
    {
        endpoint.WithName("planReplay").WithTags(Tag).WithSummary("Plans a replay: which letters it would send is frozen, and nothing moves.")
            .WithDescription("Either ids or a filter; an empty filter is all that can be replayed. excluded tells what is left out, and why. A plan ends by itself after an hour.");
        Command(endpoint);
        endpoint.Accepts<PlanRequest>("application/json");
    }

    public static void DescribePreview(this RouteHandlerBuilder endpoint)
    {
        endpoint.WithName("previewReplay").WithTags(Tag).WithSummary("What a plan would do, without doing it.")
            .WithDescription($"Runs the consumers in transactions that are rolled back. sample: 1 to {DeadLetterRules.SampleMost} letters, 50 when it is left out. Exceptions are masked.");
        Command(endpoint);
        endpoint.Accepts<PreviewRequest>(isOptional: true, "application/json");
    }

    public static void DescribeStart(this RouteHandlerBuilder endpoint)
    {
        endpoint.WithName("startReplay").WithTags(Tag).WithSummary("Starts a plan: the canary first, then the rest at the rate.")
            .WithDescription("rate_per_second: 0.001 to 10000; 50 when it is left out, 0 is as fast as it goes. canary: 5, 0 is none. stop_on_failure_ratio: 0.1; more that fail again, and it stops by itself.");
        Command(endpoint);
        endpoint.Accepts<StartRequest>(isOptional: true, "application/json");
    }

    public static void DescribeSteer(this RouteHandlerBuilder endpoint, string name, string summary)
    {
        endpoint.WithName(name).WithTags(Tag).WithSummary(summary).WithDescription("No body. 409 tells by its code why the replay's status does not allow it.");
        Command(endpoint);
    }

    static void Command(RouteHandlerBuilder endpoint)
    {
        endpoint.ProducesProblem(StatusCodes.Status409Conflict);
        endpoint.ProducesProblem(StatusCodes.Status413PayloadTooLarge);
        endpoint.DescribeCommand();
    }

    static OpenApiSchema Text() => new() { Type = JsonSchemaType.String, MinLength = 1, MaxLength = DeadLetterRules.TextMost };

    static OpenApiSchema Time() => new() { Type = JsonSchemaType.String, Format = "date-time" };

    static OpenApiSchema Among(params IReadOnlyList<string> values) => new()
    {
        Type = JsonSchemaType.String,
        Enum = [.. values.Select(value => (System.Text.Json.Nodes.JsonNode)value)],
    };
}
