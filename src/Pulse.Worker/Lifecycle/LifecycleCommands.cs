using System.Text.Json;
using Npgsql;
using Pulse.Contracts.Lifecycle;
using Pulse.Messaging;
using Pulse.Messaging.Outbox;
using Pulse.Worker.Operations;

namespace Pulse.Worker.Lifecycle;

/// <summary>
/// Moves organizations through their lives, as operators ask. The row is the saga: it is locked, <see cref="LifecycleRules"/> decides,
/// and the change, its audit entry, its timer, its events and the operation's outcome are one transaction.
/// </summary>
/// <remarks>A refusal is an outcome like any other. A repeated command finds its operation completed, and changes nothing.</remarks>
sealed partial class LifecycleCommands(NpgsqlDataSource dataSource, OutboxPublisher publisher, ReaperOptions options, TimeProvider clock, ILogger<LifecycleCommands> log)
{
    public Task DoAsync(MessageTransaction transaction, SuspendOrganization command, CancellationToken cancellationToken) => MoveAsync(
        transaction, command.OperationId, command.OrgId, command.AcceptedAt, "organization_suspended",
        (org, operation, now) => LifecycleRules.Suspend(org, Read(operation).Reason, now), cancellationToken);

    public Task DoAsync(MessageTransaction transaction, UnsuspendOrganization command, CancellationToken cancellationToken) => MoveAsync(
        transaction, command.OperationId, command.OrgId, command.AcceptedAt, "organization_unsuspended",
        (org, _, _) => LifecycleRules.Unsuspend(org), cancellationToken);

    public async Task DoAsync(MessageTransaction transaction, SoftDeleteOrganization command, CancellationToken cancellationToken)
    {
        var database = await ReaperTable.DatabaseTimeAsync(dataSource, cancellationToken);
        await MoveAsync(
            transaction, command.OperationId, command.OrgId, command.AcceptedAt, "organization_deleted",
            (org, operation, now) =>
            {
                var said = Read(operation);
                return LifecycleRules.SoftDelete(
                    org, said.RetentionDays ?? LifecycleRules.RetentionDaysDefault, now, command.OperationId, said.Export is false,
                    ReaperRules.RetentionFrom(now, clock, database, options.ClockTolerance));
            },
            cancellationToken);
    }

    public Task DoAsync(MessageTransaction transaction, RestoreOrganization command, CancellationToken cancellationToken) => MoveAsync(
        transaction, command.OperationId, command.OrgId, command.AcceptedAt, "organization_restored",
        (org, _, _) => LifecycleRules.Restore(org), cancellationToken);

    public Task DoAsync(MessageTransaction transaction, PlaceLegalHold command, CancellationToken cancellationToken) => MoveAsync(
        transaction, command.OperationId, command.OrgId, command.AcceptedAt, "legal_hold_placed",
        (org, operation, now) => LifecycleRules.Hold(org, Read(operation).Reason ?? "", operation.Actor, now), cancellationToken);

    public Task DoAsync(MessageTransaction transaction, ReleaseLegalHold command, CancellationToken cancellationToken) => MoveAsync(
        transaction, command.OperationId, command.OrgId, command.AcceptedAt, "legal_hold_released",
        (org, _, _) => LifecycleRules.Release(org), cancellationToken);

    async Task MoveAsync(
        MessageTransaction transaction, Guid operationId, Guid orgId, DateTimeOffset acceptedAt, string action,
        Func<Organization, Operation, DateTimeOffset, Transition> decide, CancellationToken cancellationToken)
    {
        var now = clock.GetUtcNow().Whole();
        var operation = await OperationTable.TakeAsync(transaction, operationId, cancellationToken);
        if (operation.IsCompleted)
            return;

        var before = await LifecycleTable.LockAsync(transaction, orgId, cancellationToken);
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
        if (after.Status != before!.Status)
        {
            transaction.Defer(publisher.Publish(
                new OrganizationStatusChanged { OrgId = orgId, FromStatus = before.Status, ToStatus = after.Status, AcceptedAt = acceptedAt, ChangedAt = now }));
            transaction.OnCommitted(() => Moved(log, orgId, before.Status, after.Status, operationId));
        }

        PublishDeletion(transaction, before, after, now);
        transaction.OnCommitted(publisher.Committed);
        LifecycleTable.Store(transaction, before, after, now, operation.Actor, action, operation.Cause);
    }

    // The timer stands from the deletion on. Taken back with a restore; one that comes all the same finds another deletion, or none.
    void PublishDeletion(MessageTransaction transaction, Organization before, Organization after, DateTimeOffset now)
    {
        if (before.DeletionId is null && after.DeletionId is { } deleted)
        {
            transaction.Defer(publisher.Publish(new RetentionEnded { OrgId = after.OrgId, DeletionId = deleted }, after.PurgeAfter, token: deleted));
            transaction.Defer(publisher.Publish(new CancelSubscriptions { OrgId = after.OrgId, DeletionId = deleted }));
        }
        else if (before.DeletionId is { } restored && after.DeletionId is null)
        {
            transaction.Defer(OutboxPublisher.Cancel(restored));
            transaction.Defer(publisher.Publish(new ResumeSubscriptions { OrgId = after.OrgId, DeletionId = restored }));
        }
        else if (before.LegalHoldAt is not null && after is { LegalHoldAt: null, DeletionId: { } released } && after.PurgeAfter <= now)
        {
            // Its timer came and went while it was under hold.
            transaction.Defer(publisher.Publish(new RetentionEnded { OrgId = after.OrgId, DeletionId = released }));
        }
    }

    static LifecycleRequest Read(Operation operation) =>
        JsonSerializer.Deserialize<LifecycleRequest>(operation.Request, LifecycleRequest.Json) ?? new LifecycleRequest();

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

    /// <summary>False: purged without an export.</summary>
    public bool? Export { get; init; }

    /// <summary>Of a confirmation: what the dry run's list had.</summary>
    public string? Hash { get; init; }
}
