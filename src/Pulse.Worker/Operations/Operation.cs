namespace Pulse.Worker.Operations;

/// <summary>What an operator asked for: a row of <c>pulse.operations</c>, locked.</summary>
/// <param name="Request">JSON, as ingress stored it.</param>
/// <param name="IsCompleted">It has its outcome already, and keeps it.</param>
sealed record Operation(Guid Id, string Request, string Actor, bool IsCompleted)
{
    /// <summary>What the audit log names as the cause.</summary>
    public string Cause => $"operation:{Id}";
}

/// <summary>Why an operation is refused, as the HTTP answer has it.</summary>
sealed record Refusal(int Status, string Code, string Detail);
