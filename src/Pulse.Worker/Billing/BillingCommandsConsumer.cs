using MassTransit;
using Npgsql;
using Pulse.Contracts.Billing;
using Pulse.Messaging;

namespace Pulse.Worker.Billing;

/// <summary>Does what operators ask for. A refusal is an outcome like any other: the operation has it, and the message is done.</summary>
/// <remarks>A repeated message finds the operation completed, and leaves it as it is. Nothing of Stripe's is touched.</remarks>
sealed partial class BillingCommandsConsumer(Plans plans, TimeProvider clock, ILogger<BillingCommandsConsumer> log)
    : IConsumer<SetBillingState>, IConsumer<RevokeBillingOverride>
{
    public const string EndpointName = "billing-commands";

    public Task Consume(ConsumeContext<SetBillingState> context) => DoAsync(
        context, context.Message.OperationId, context.Message.OrgId,
        (connection, operation, request, now) => OperationTable.AddOverrideAsync(
            connection, operation, OverrideRules.Override(operation, request, now), request.Reason, context.CancellationToken));

    public Task Consume(ConsumeContext<RevokeBillingOverride> context) => DoAsync(
        context, context.Message.OperationId, context.Message.OrgId,
        (connection, operation, _, now) => OperationTable.RevokeOverridesAsync(connection, operation, now, context.CancellationToken));

    async Task DoAsync(
        ConsumeContext context, Guid operationId, Guid orgId, Func<NpgsqlConnection, Operation, OverrideRequest, DateTimeOffset, Task> change)
    {
        var now = clock.GetUtcNow();
        var transaction = context.Transaction();
        var connection = await transaction.OpenAsync(context.CancellationToken);
        var operation = await OperationTable.TakeAsync(connection, operationId, orgId, context.CancellationToken)
            ?? throw new OperationMissingException(operationId);
        if (operation.IsCompleted)
            return;

        if (OverrideRules.Refuse(operation, now, out var request) is { } refusal)
        {
            foreach (var command in OperationTable.Complete(operationId, null, refusal, now))
                transaction.Defer(command);
            transaction.OnCommitted(() => Refused(log, operationId, orgId, refusal.Code));
            return;
        }

        await change(connection, operation, request, now);
        var entitlements = (await EntitlementTable.RecomputeAsync(
            connection, orgId, plans, now, verified: false, operation.Actor, operation.Cause, context.CancellationToken))!;
        if (entitlements.Changed)
            await context.Publish(EntitlementsEvents.Changed(entitlements, now), context.CancellationToken);
        foreach (var command in OperationTable.Complete(operationId, BillingState.Of(entitlements.Current, entitlements.Version), null, now))
            transaction.Defer(command);
        transaction.OnCommitted(() => Done(log, operationId, orgId, entitlements.Version));
    }

    [LoggerMessage(Level = LogLevel.Information, Message = "Operation {OperationId} is done; the billing state of {OrgId} is at version {Version}")]
    static partial void Done(ILogger logger, Guid operationId, Guid orgId, long version);

    [LoggerMessage(Level = LogLevel.Information, Message = "Operation {OperationId} on the billing state of {OrgId} is refused: {Code}")]
    static partial void Refused(ILogger logger, Guid operationId, Guid orgId, string code);
}

/// <summary>A command speaks of an operation that is not stored. No retry brings it back.</summary>
sealed class OperationMissingException(Guid operationId) : UnprocessableMessageException($"There is no operation {operationId}.");
