using System.Text.Json;
using Pulse.Worker.Operations;

namespace Pulse.Worker.Billing;

/// <summary>What an operator asked for, as it stands in <c>operations.request</c>.</summary>
sealed record OverrideRequest
{
    public string Effect { get; init; } = "pin";
    public OverrideState State { get; init; } = new();
    public string? Reason { get; init; }
    public DateTimeOffset? ExpiresAt { get; init; }

    /// <summary>The version that the operator saw; null for whichever there is.</summary>
    public long? IfMatch { get; init; }
}

/// <summary>What becomes of an operator's request, without I/O.</summary>
static class OverrideRules
{
    /// <returns>Null: it may go on. Ingress has checked what it could; this is asked under the lock.</returns>
    public static Refusal? Refuse(Operation operation, OverrideSubject subject, DateTimeOffset now, out OverrideRequest request)
    {
        request = new OverrideRequest();
        if (!subject.Exists)
            return new Refusal(404, "not_found", "There is no such organization.");
        if (subject.IsDefault)
            return new Refusal(400, "default_org_immutable", "The platform's own organization has no billing.");

        try
        {
            request = JsonSerializer.Deserialize<OverrideRequest>(operation.Request, Canonical.Json) ?? request;
            // A null is nothing said, whatever the type says.
            request = request with { State = request.State ?? new OverrideState() };
        }
        catch (JsonException exception)
        {
            return new Refusal(400, "invalid_request", $"It can't be read at {exception.Path}.");
        }

        if (request.Effect is not ("deny" or "grant" or "pin"))
            return new Refusal(400, "invalid_request", "effect must be deny, grant or pin.");
        if (request.State.SubscriptionState is { } state && !BillingRules.States.Contains(state))
            return new Refusal(400, "invalid_subscription_state", "subscription_state must be trial, active, grace, expired or suspended.");
        if (request.State.Limits?.Values.Any(limit => limit < 0) == true)
            return new Refusal(400, "invalid_request", "A limit must be a whole number from 0 on.");
        if (request.ExpiresAt <= now)
            return new Refusal(400, "invalid_request", "expires_at must be in the future.");
        if (request.IfMatch is { } version && version != subject.Version)
            return new Refusal(412, "precondition_failed", $"The billing state is at version {subject.Version}, not {version}.");
        return null;
    }

    public static BillingOverride Override(Operation operation, OverrideRequest request, DateTimeOffset now) => new()
    {
        // From the operation, so that one makes one.
        Id = operation.Id,
        Effect = request.Effect,
        State = request.State with { TrialEndsAt = Whole(request.State.TrialEndsAt), GraceUntil = Whole(request.State.GraceUntil) },
        CreatedAt = now,
        ExpiresAt = Whole(request.ExpiresAt),
    };

    // No more than JSON and Postgres keep alike.
    static DateTimeOffset? Whole(DateTimeOffset? time) => time?.ToUniversalTime().AddTicks(-(time.Value.Ticks % TimeSpan.TicksPerMicrosecond));
}
