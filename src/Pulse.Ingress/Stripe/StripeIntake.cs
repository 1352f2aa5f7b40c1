using Npgsql;
using Pulse.Contracts.Billing;
using Pulse.Ingress.Http;
using Pulse.Messaging.Outbox;

namespace Pulse.Ingress.Stripe;

/// <summary>
/// Stores verified events with their messages: those that wait at the same time in one transaction and one round trip.
/// </summary>
/// <remarks>
/// Nobody waits for a group to fill. While one is at the server the next gathers, so a group is as large as the load makes it, and a
/// lone event is stored at once. When Postgres refuses a group, each of it is done again alone; when Postgres is gone, whoever waits
/// is told so, and does not find it out once more.
/// </remarks>
sealed class StripeIntake(NpgsqlDataSource dataSource, OutboxPublisher publisher, StripeWebhookOptions options, TimeProvider clock)
{
    const int GroupMost = 128;
    const int GroupBytesMost = 4 * 1024 * 1024;

    readonly Lock _lock = new();
    readonly Queue<Member> _waiting = new();
    bool _running;

    /// <summary>Stores an event, or finds it stored.</summary>
    /// <exception cref="NpgsqlException">It could not be stored, or nobody knows whether it was.</exception>
    public Task<StripeIntakeOutcome> TakeAsync(StripeEvent received)
    {
        var member = new Member(received);
        lock (_lock)
        {
            if (_waiting.Count >= options.WaitingMost)
                return Task.FromResult(StripeIntakeOutcome.Overloaded);

            _waiting.Enqueue(member);
            if (_running)
                return member.Done.Task;
            _running = true;
        }

        _ = RunAsync();
        return member.Done.Task;
    }

    async Task RunAsync()
    {
        while (NextGroup() is { Count: > 0 } group)
            await StoreAsync(group);
    }

    List<Member> NextGroup()
    {
        var group = new List<Member>();
        lock (_lock)
        {
            for (var bytes = 0; group.Count < GroupMost && bytes < GroupBytesMost && _waiting.TryDequeue(out var member); bytes += member.Received.Body.Length)
                group.Add(member);
            _running = group.Count > 0;
        }

        return group;
    }

    async Task StoreAsync(List<Member> group)
    {
        try
        {
            await ExecuteAsync(group);
        }
        catch (NpgsqlException exception) when (!Unhandled.IsUnavailable(exception) && group.Count > 1)
        {
            // The server refused, so nothing was committed.
            foreach (var member in group)
                await StoreAsync([member]);
        }
        catch (Exception exception)
        {
            // Whether it was committed nobody knows. Stripe sends it again, and the row knows.
            foreach (var member in group)
                member.Done.TrySetException(exception);
            if (exception is not NpgsqlException postgres || Unhandled.IsUnavailable(postgres))
                RefuseWaiting(exception);
        }
    }

    void RefuseWaiting(Exception exception)
    {
        lock (_lock)
        {
            while (_waiting.TryDequeue(out var member))
                member.Done.TrySetException(exception);
        }
    }

    async Task ExecuteAsync(List<Member> group)
    {
        var now = clock.GetUtcNow();
        // The same event twice at once is one row and one message, and both are told of it.
        var events = group.Select(member => member.Received).DistinctBy(received => received.Id).OrderBy(received => received.Id, StringComparer.Ordinal).ToList();
        await using var batch = dataSource.CreateBatch();
        batch.BatchCommands.Add(StripeEventTable.Insert(events, now.UtcDateTime));
        // A repeat of what is not completed is dispatched again: somebody may have sent it again for that very reason.
        batch.BatchCommands.Add(publisher.PublishExcept(
            events.ConvertAll(received => (received.Id, new StripeEventReceived { EventId = received.Id, ReceivedAt = now })), StripeEventTable.CompletedSql));

        var stored = new HashSet<string>(StringComparer.Ordinal);
        // Not begun, the batch is a transaction by itself: Postgres ends it at the batch's only Sync message. Read to its end, it is committed.
        await using (var reader = await batch.ExecuteReaderAsync(CancellationToken.None))
        {
            while (await reader.ReadAsync(CancellationToken.None))
                stored.Add(reader.GetString(0));
            await reader.NextResultAsync(CancellationToken.None);
        }

        publisher.Committed();
        foreach (var member in group)
            member.Done.TrySetResult(stored.Remove(member.Received.Id) ? StripeIntakeOutcome.Accepted : StripeIntakeOutcome.Duplicate);
    }

    sealed class Member(StripeEvent received)
    {
        public StripeEvent Received => received;

        public TaskCompletionSource<StripeIntakeOutcome> Done { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);
    }
}

/// <summary>What became of a verified event.</summary>
enum StripeIntakeOutcome
{
    /// <summary>Stored.</summary>
    Accepted,

    /// <summary>Was stored before.</summary>
    Duplicate,

    /// <summary>Too many wait already: not stored.</summary>
    Overloaded,
}
