namespace Pulse.Contracts.Hooks;

/// <summary>A call of the platform's hook is to be made, or looked after. Also what its timers are.</summary>
public sealed record ContinueHookCall
{
    /// <summary>The call: a row of <c>pulse.hook_calls</c>.</summary>
    public required Guid CallId { get; init; }
}
