using MassTransit;

namespace Pulse.Messaging;

/// <summary>
/// The points before and after each commit, publish, delete and acknowledgement, where a process may die with one thing done and the
/// next not. Tests hear of each that is reached, and make the process die there.
/// </summary>
static class CrashPoint
{
    /// <summary>Hears of every point of the process. Set by what tests load into a process of its own; null in every real one.</summary>
    public static Action<string>? OfProcess { get; set; }

    /// <summary>The process is there.</summary>
    /// <param name="where">The endpoint, or which part of the outbox.</param>
    /// <param name="step">Before or after what.</param>
    public static void Reached(string where, string step) => OfProcess?.Invoke($"{where}: {step}");

    /// <summary>The point behind a message's last step, which is MassTransit's.</summary>
    public sealed class AfterAcknowledge(MessagingOptions options) : IReceiveObserver
    {
        public Task PostReceive(ReceiveContext context) => options.ReachedAsync(context.InputAddress.Segments[^1], "after acknowledge");

        public Task PreReceive(ReceiveContext context) => Task.CompletedTask;

        public Task PostConsume<T>(ConsumeContext<T> context, TimeSpan duration, string consumerType)
            where T : class => Task.CompletedTask;

        public Task ConsumeFault<T>(ConsumeContext<T> context, TimeSpan duration, string consumerType, Exception exception)
            where T : class => Task.CompletedTask;

        public Task ReceiveFault(ReceiveContext context, Exception exception) => Task.CompletedTask;
    }
}
