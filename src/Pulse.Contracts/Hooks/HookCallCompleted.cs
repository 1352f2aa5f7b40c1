namespace Pulse.Contracts.Hooks;

/// <summary>The platform told how a call ended that it had taken for later. How, stands with the call.</summary>
public sealed record HookCallCompleted
{
    /// <summary>The call: a row of <c>pulse.hook_calls</c>.</summary>
    public required Guid CallId { get; init; }
}
