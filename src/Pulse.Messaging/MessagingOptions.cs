namespace Pulse.Messaging;

/// <summary>How a process consumes and publishes. The defaults are those of a production worker.</summary>
public sealed class MessagingOptions
{
    /// <summary>The broker, <c>amqp://user:password@host:port/vhost</c> or amqps.</summary>
    public required Uri Broker { get; init; }

    /// <summary>
    /// The other nodes of the broker's cluster, each as the same address with its own host and port. Every connection is tried with one after
    /// the other, so that the loss of a node costs a reconnect.
    /// </summary>
    public IReadOnlyList<Uri> OtherNodes { get; init; } = [];

    internal IEnumerable<Uri> Nodes => [Broker, .. OtherNodes];

    /// <summary>Messages that the broker hands to one endpoint ahead of its work. 1 to 2 000.</summary>
    public int Prefetch { get; init; } = 64;

    /// <summary>Messages that one endpoint works on at the same time, each on a database connection of its own. 1 to 200.</summary>
    public int Concurrency { get; init; } = 16;

    /// <summary>
    /// How often the broker may redeliver a message to a quorum queue before it goes to the queue's <c>_error</c> queue:
    /// the end of a message that kills the process each time. A killed worker costs each message in its prefetch one.
    /// </summary>
    public int DeliveryLimit { get; init; } = 50;

    /// <summary>How long the relay leaves a row to the process that committed it and publishes it from memory. Above any publish's time-out.</summary>
    public TimeSpan DirectPublishGrace { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>Rows that a relay takes in one transaction. 1 to 5 000.</summary>
    public int RelayBatch { get; init; } = 500;

    /// <summary>How long a relay waits at most before it looks again, when nothing wakes it.</summary>
    public TimeSpan RelayPoll { get; init; } = TimeSpan.FromSeconds(1);

    /// <summary>
    /// How long one batch may take to be confirmed by the broker before it is given up and tried again. The relay's transaction is
    /// open meanwhile: keep it below the idle_in_transaction_session_timeout of the process' connections.
    /// </summary>
    public TimeSpan PublishTimeout { get; init; } = TimeSpan.FromSeconds(15);

    /// <summary>
    /// How long a consumed message is remembered. Longer than dead letters are kept, or a late replay would do its work twice.
    /// </summary>
    public TimeSpan InboxRetention { get; init; } = TimeSpan.FromDays(45);

    /// <summary>How long after the in-process retries a failing message is tried again; after the last it is dead-lettered.</summary>
    public IReadOnlyList<TimeSpan> Redeliveries { get; init; } =
        [TimeSpan.FromSeconds(5), TimeSpan.FromSeconds(30), TimeSpan.FromMinutes(2), TimeSpan.FromMinutes(10)];

    /// <summary>Tests hold a host in their own process at a <see cref="CrashPoint"/> by its name. Null in every real process.</summary>
    internal Func<string, Task>? AtPoint { get; init; }

    internal bool IsWatched => AtPoint is not null || CrashPoint.OfProcess is not null;

    /// <summary>
    /// Tells tests that the process is at a point where it may die, with one thing done and the next not. Consumers that commit or call
    /// outside of their message's transaction say so before and after. Costs nothing in a real process.
    /// </summary>
    /// <param name="where">The endpoint.</param>
    /// <param name="step">Before or after what.</param>
    public Task ReachedAsync(string where, string step)
    {
        if (!IsWatched)
            return Task.CompletedTask;

        CrashPoint.Reached(where, step);
        return AtPoint?.Invoke($"{where}: {step}") ?? Task.CompletedTask;
    }

    /// <summary>Tests break the library with it.</summary>
    internal Mutant Mutant { get; init; } = Mutant.None;

    /// <summary>How long a failing message is held for another try in the process, connection and transaction given back.</summary>
    public IReadOnlyList<TimeSpan> Retries { get; init; } =
        [TimeSpan.FromMilliseconds(20), TimeSpan.FromMilliseconds(100), TimeSpan.FromMilliseconds(500)];
}
