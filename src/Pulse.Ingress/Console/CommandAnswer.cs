using Pulse.Ingress.Http;
using Pulse.Ingress.Operations;

namespace Pulse.Ingress.Console;

/// <summary>An operation's end as a page: the same outcomes that <see cref="OperationAnswers"/> tells the API's callers.</summary>
static class CommandAnswer
{
    /// <param name="outcome">What became of the command.</param>
    /// <param name="request">Whose it was.</param>
    /// <param name="back">The page of what it was about.</param>
    /// <param name="done">What comes when it succeeded.</param>
    public static IResult Answer(this OperationOutcome outcome, ConsoleRequest request, string back, Func<Operation, IResult> done) => outcome switch
    {
        OperationOutcome.Completed({ Status: "succeeded" } operation) => done(operation),
        OperationOutcome.Completed({ Problem: var problem }) => Errors.Refused(
            request, new Problem(StatusCodes.Status409Conflict, problem?.Code ?? "refused", "", problem?.Detail ?? "It was refused."), back),
        OperationOutcome.Pending(var operation) => Pending(request, operation, back),
        _ => Errors.Refused(request, new Problem(StatusCodes.Status422UnprocessableEntity, "idempotency_key_reused", "",
            "This form was sent before, with something else in it. What was sent first is what is done."), back),
    };

    // Its address is that of the form: what can be loaded anew is the page of what it was about.
    static ConsolePage Pending(ConsoleRequest request, Operation operation, string back) => new(request, "On its way", Html.Of($"""
        <div class="notice warn" role="status">
        <p>The command is stored, and will be done: no worker has answered within five seconds. It can't get lost, and nothing is done twice.</p>
        <p><a href="{back}">Go on</a>, and look again in a while. It is operation <code>{operation.OperationId}</code>; if it stays so, see on the page Health whether the outbox drains.</p>
        </div>
        """))
    {
        Status = StatusCodes.Status202Accepted,
    };

    /// <summary>The operation that a form stands for, by its key. Null: the form has none.</summary>
    public static Guid? OperationId(this ConsoleForm form, ConsoleRequest request) =>
        form[ConsoleForm.KeyField] is { } key && OperationKey.Read(key, request.Caller, out var id) is null ? id : null;
}
