using System.Text.Json;
using MassTransit;
using Pulse.Contracts.Lifecycle;
using Pulse.Messaging;
using Pulse.Messaging.Rehearsing;
using Pulse.Worker.Operations;

namespace Pulse.Worker.Lifecycle;

/// <summary>
/// Moves organizations through their lives, as operators ask. The row is the saga: it is locked, <see cref="LifecycleRules"/> decides,
/// and the change, its audit entry, its event and the operation's outcome are one transaction.
/// </summary>
/// <remarks>A refusal is an outcome like any other. A repeated command finds its operation completed, and changes nothing.</remarks>
[Rehearsable]
sealed partial class LifecycleConsumer(TimeProvider clock, ILogger<LifecycleConsumer> log) :
    IConsumer<SuspendOrganization>, IConsumer<UnsuspendOrganization>, IConsumer<SoftDeleteOrganization>, IConsumer<RestoreOrganization>,
    IConsumer<PlaceLegalHold>, IConsumer<ReleaseLegalHold>
{
    public const string EndpointName = "lifecycle";

    public Task Consume(ConsumeContext<SuspendOrganization> context) => MoveAsync(
        context, context.Message.OperationId, context.Message.OrgId, context.Message.AcceptedAt, "organization_suspended",
        (org, operation, now) => LifecycleRules.Suspend(org, Read(operation).Reason, now));

    public Task Consume(ConsumeContext<UnsuspendOrganization> context) => MoveAsync(
        context, context.Message.OperationId, context.Message.OrgId, context.Message.AcceptedAt, "organization_unsuspended",
        (org, _, _) => LifecycleRules.Unsuspend(org));

    public Task Consume(ConsumeContext<SoftDeleteOrganization> context) => MoveAsync(
        context, context.Message.OperationId, context.Message.OrgId, context.Message.AcceptedAt, "organization_deleted",
        (org, operation, now) => LifecycleRules.SoftDelete(org, Read(operation).RetentionDays ?? LifecycleRules.RetentionDaysDefault, now));

    public Task Consume(ConsumeContext<RestoreOrganization> context) => MoveAsync(
        context, context.Message.OperationId, context.Message.OrgId, context.Message.AcceptedAt, "organization_restored",
        (org, _, _) => LifecycleRules.Restore(org));

    public Task Consume(ConsumeContext<PlaceLegalHold> context) => MoveAsync(
        context, context.Message.OperationId, context.Message.OrgId, context.Message.AcceptedAt, "legal_hold_placed",
        (org, operation, now) => LifecycleRules.Hold(org, Read(operation).Reason ?? "", operation.Actor, now));

    public Task Consume(ConsumeContext<ReleaseLegalHold> context) => MoveAsync(
        context, context.Message.OperationId, context.Message.OrgId, context.Message.AcceptedAt, "legal_hold_released",
        (org, _, _) => LifecycleRules.Release(org));

    async Task MoveAsync(
        ConsumeContext context, Guid operationId, Guid orgId, DateTimeOffset acceptedAt, string action, Func<Organization, Operation, DateTimeOffset, Transition> decide)
    {
        var now = Whole(clock.GetUtcNow());
        var transaction = context.Transaction();
        var operation = await OperationTable.TakeAsync(transaction, operationId, context.CancellationToken);
        if (operation.IsCompleted)
            return;

        var before = await LifecycleTable.LockAsync(transaction, orgId, context.CancellationToken);
        var transition = before is null
            ? new Transition(null, new Refusal(404, "not_found", "There is no such organization."))
            : decide(before, operation, now);
        if (transition.Refusal is { } refusal)
        {
            OperationTable.Refuse(transaction, operationId, refusal, now);
            transaction.OnCommitted(() => Refused(log, operationId, orgId, refusal.Code));
            return;
        }

        var after = transition.After!;
        OperationTable.Succeed(transaction, operationId, LifecycleTable.ToJson(after), now);
        LifecycleTable.Store(transaction, before!, after, now, operation.Actor, action, operation.Cause);
        if (after.Status == before!.Status)
            return;

        await context.Publish(
            new OrganizationStatusChanged { OrgId = orgId, FromStatus = before.Status, ToStatus = after.Status, AcceptedAt = acceptedAt, ChangedAt = now },
            context.CancellationToken);
        transaction.OnCommitted(() => Moved(log, orgId, before.Status, after.Status, operationId));
    }

    static LifecycleRequest Read(Operation operation) =>
        JsonSerializer.Deserialize<LifecycleRequest>(operation.Request, LifecycleRequest.Json) ?? new LifecycleRequest();

    // No more than JSON and Postgres keep alike.
    static DateTimeOffset Whole(DateTimeOffset time) => time.AddTicks(-(time.Ticks % TimeSpan.TicksPerMicrosecond));

    [LoggerMessage(Level = LogLevel.Information, Message = "Organization {OrgId}: {From} → {To}, by operation {OperationId}")]
    static partial void Moved(ILogger logger, Guid orgId, string from, string to, Guid operationId);

    [LoggerMessage(Level = LogLevel.Information, Message = "Operation {OperationId} on organization {OrgId} is refused: {Code}")]
    static partial void Refused(ILogger logger, Guid operationId, Guid orgId, string code);
}

/// <summary>What was said with a command, as it stands in <c>operations.request</c>.</summary>
sealed record LifecycleRequest
{
    public static readonly JsonSerializerOptions Json = new(JsonSerializerDefaults.Web) { PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower };

    public string? Reason { get; init; }
    public int? RetentionDays { get; init; }
}
