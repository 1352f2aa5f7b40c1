using Pulse.Hosting;

namespace Pulse.Worker.DeadLetters;

/// <summary>What operators may do.</summary>
sealed record DeadLetterOptions
{
    /// <summary>Whether a letter may be edited before it is replayed.</summary>
    public required bool Edit { get; init; }

    public static DeadLetterOptions Read(Settings settings) => new() { Edit = settings.Flag("PULSE_REPLAY_EDIT", otherwise: false) };
}
