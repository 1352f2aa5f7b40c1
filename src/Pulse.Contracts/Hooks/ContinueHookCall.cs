namespace Pulse.Contracts.Hooks;

/// <summary>A call of the platform's hook is to be made, or looked after. Also what its timers are.</summary>
public sealed record ContinueHookCall
{
    public required Guid CallId { get; init; }
}
