using System.Text.Json;

namespace Pulse.Ingress.Operations;

/// <summary>A kind of command, as a slice registers it: <c>services.AddSingleton(new OperationKind(…))</c>.</summary>
/// <param name="Name">As it stands in <c>pulse.operations.kind</c>, such as <c>billing.set</c>. It outlives a build.</param>
/// <param name="Scope">What its caller needs, and who asks what became of it.</param>
sealed record OperationKind(string Name, string Scope)
{
    /// <summary>What of its result may be told to who has the scope. All of it, unless the kind says otherwise.</summary>
    public Func<JsonElement, JsonElement> Shown { get; init; } = result => result;
}

/// <summary>A row of <c>pulse.operations</c>.</summary>
sealed record Operation
{
    public required Guid OperationId { get; init; }
    public required string Kind { get; init; }
    public required Guid? OrgId { get; init; }

    /// <summary>pending, succeeded or refused.</summary>
    public required string Status { get; init; }
    public required OperationProblem? Problem { get; init; }

    /// <summary>Of one that succeeded, if its kind has a result.</summary>
    public required JsonElement? Result { get; init; }
    public required DateTime RequestedAt { get; init; }
    public required DateTime? CompletedAt { get; init; }
}

/// <summary>Why the worker refused it: what the HTTP answer would have said.</summary>
sealed record OperationProblem(int Status, string Code, string Detail);

/// <summary>How far an operation is: the body of a 202, and of <c>GET /api/admin/operations/{id}</c>.</summary>
sealed record OperationStatus
{
    public required Guid OperationId { get; init; }
    public required string Kind { get; init; }

    /// <summary>The organization that it is about, if it is about one.</summary>
    public string? OrgId { get; init; }

    /// <summary>pending, succeeded or refused.</summary>
    public required string Status { get; init; }
    public required DateTime RequestedAt { get; init; }
    public DateTime? CompletedAt { get; init; }

    /// <summary>What the command's own answer would have been.</summary>
    public JsonElement? Result { get; init; }

    /// <summary>Why it was refused.</summary>
    public OperationProblem? Problem { get; init; }

    /// <param name="operation">The row.</param>
    /// <param name="kind">Its kind; null for one that has no result yet.</param>
    public static OperationStatus Of(Operation operation, OperationKind? kind) => new()
    {
        OperationId = operation.OperationId,
        Kind = operation.Kind,
        OrgId = operation.OrgId is { } org ? Http.OrgAddress.Text(org) : null,
        Status = operation.Status,
        RequestedAt = operation.RequestedAt,
        CompletedAt = operation.CompletedAt,
        Result = operation.Result is { } result ? kind?.Shown(result) : null,
        Problem = operation.Problem,
    };
}
