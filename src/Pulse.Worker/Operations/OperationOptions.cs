using Pulse.Hosting;

namespace Pulse.Worker.Operations;

/// <summary>How long what operators asked for is remembered.</summary>
sealed record OperationOptions
{
    /// <summary>After its end. So long the same Idempotency-Key gets the first answer. 1 to 3650 days.</summary>
    public required TimeSpan Retention { get; init; }

    public static OperationOptions Read(Settings settings) => new()
    {
        Retention = TimeSpan.FromDays(settings.Number("PULSE_OPERATIONS_RETENTION_DAYS", otherwise: 90, least: 1, most: 3650)),
    };
}
