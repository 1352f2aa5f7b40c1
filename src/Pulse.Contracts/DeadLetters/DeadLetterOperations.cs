namespace Pulse.Contracts.DeadLetters;

/// <summary>What <c>pulse.operations.kind</c> says of each command. The names outlive a build.</summary>
public static class DeadLetterOperations
{
    /// <summary><see cref="PlanReplay"/>: <see cref="PlanRequest"/> → <see cref="ReplayState"/>.</summary>
    public const string Plan = "deadletters.plan";

    /// <summary><see cref="PreviewReplay"/>: <see cref="PreviewRequest"/> → <see cref="PreviewResult"/>.</summary>
    public const string Preview = "deadletters.preview";

    /// <summary><see cref="StartReplay"/>: <see cref="StartRequest"/> → <see cref="ReplayState"/>.</summary>
    public const string Start = "deadletters.start";

    /// <summary><see cref="PauseReplay"/>: <c>{}</c> → <see cref="ReplayState"/>.</summary>
    public const string Pause = "deadletters.pause";

    /// <summary><see cref="ResumeReplay"/>: <c>{}</c> → <see cref="ReplayState"/>.</summary>
    public const string Resume = "deadletters.resume";

    /// <summary><see cref="CancelReplay"/>: <c>{}</c> → <see cref="ReplayState"/>.</summary>
    public const string Cancel = "deadletters.cancel";

    /// <summary><see cref="DiscardDeadLetters"/>: <see cref="SelectionRequest"/> → <see cref="SelectionResult"/>.</summary>
    public const string Discard = "deadletters.discard";

    /// <summary><see cref="RestoreDeadLetters"/>: <see cref="SelectionRequest"/> → <see cref="SelectionResult"/>.</summary>
    public const string Restore = "deadletters.restore";

    /// <summary><see cref="EditDeadLetter"/>: <see cref="EditRequest"/> → <see cref="EditResult"/>.</summary>
    public const string Edit = "deadletters.edit";

    /// <summary><see cref="RevealDeadLetter"/>: <c>{}</c> → <see cref="RevealResult"/>.</summary>
    public const string Reveal = "deadletters.reveal";
}
