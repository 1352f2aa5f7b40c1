using System.Text.Json;
using MassTransit;
using Npgsql;
using Pulse.Catalog;
using Pulse.Contracts.Billing;
using Pulse.Messaging;
using Pulse.Messaging.Rehearsing;
using Pulse.Worker.Operations;

namespace Pulse.Worker.Billing;

/// <summary>Does what operators ask for. A refusal is an outcome like any other: the operation has it, and the message is done.</summary>
/// <remarks>A repeated message finds the operation completed, and leaves it as it is. Nothing of Stripe's is touched.</remarks>
[Rehearsable]
sealed partial class BillingCommandsConsumer(Plans plans, TimeProvider clock, ILogger<BillingCommandsConsumer> log)
    : IConsumer<SetBillingState>, IConsumer<RevokeBillingOverride>
{
    public const string EndpointName = "billing-commands";

    public Task Consume(ConsumeContext<SetBillingState> context) => DoAsync(
        context, context.Message.OperationId, context.Message.OrgId,
        (connection, operation, request, now) => OverrideTable.AddAsync(
            connection, operation, context.Message.OrgId, OverrideRules.Override(operation, request, now), request.Reason, context.CancellationToken));

    public Task Consume(ConsumeContext<RevokeBillingOverride> context) => DoAsync(
        context, context.Message.OperationId, context.Message.OrgId,
        (connection, operation, _, now) => OverrideTable.RevokeAsync(connection, operation, context.Message.OrgId, now, context.CancellationToken));

    async Task DoAsync(
        ConsumeContext context, Guid operationId, Guid orgId, Func<NpgsqlConnection, Operation, OverrideRequest, DateTimeOffset, Task> change)
    {
        var now = clock.GetUtcNow();
        var transaction = context.Transaction();
        var operation = await OperationTable.TakeAsync(transaction, operationId, context.CancellationToken);
        if (operation.IsCompleted)
            return;

        var connection = await transaction.OpenAsync(context.CancellationToken);
        var subject = await OverrideTable.LockAsync(connection, orgId, context.CancellationToken);
        if (OverrideRules.Refuse(operation, subject, now, out var request) is { } refusal)
        {
            OperationTable.Refuse(transaction, operationId, refusal, now);
            transaction.OnCommitted(() => Refused(log, operationId, orgId, refusal.Code));
            return;
        }

        await change(connection, operation, request, now);
        var entitlements = (await EntitlementTable.RecomputeAsync(
            connection, orgId, plans, now, verified: false, operation.Actor, operation.Cause, context.CancellationToken))!;
        if (entitlements.Changed)
            await context.Publish(EntitlementsEvents.Changed(entitlements, now), context.CancellationToken);
        OperationTable.Succeed(
            transaction, operationId, JsonSerializer.Serialize(BillingState.Of(entitlements.Current, entitlements.Version), Canonical.Json), now);
        transaction.OnCommitted(() => Done(log, operationId, orgId, entitlements.Version));
    }

    [LoggerMessage(Level = LogLevel.Information, Message = "Operation {OperationId} is done; the billing state of {OrgId} is at version {Version}")]
    static partial void Done(ILogger logger, Guid operationId, Guid orgId, long version);

    [LoggerMessage(Level = LogLevel.Information, Message = "Operation {OperationId} on the billing state of {OrgId} is refused: {Code}")]
    static partial void Refused(ILogger logger, Guid operationId, Guid orgId, string code);
}
