using System.Collections.Concurrent;
using Npgsql;
using Pulse.Messaging.Inbox;
using Pulse.Messaging.Outbox;

namespace Pulse.Messaging;

/// <summary>
/// Commits messages of consumers that only defer and publish: those that wait at the same time in one transaction and one round trip.
/// </summary>
/// <remarks>
/// Nobody waits for a group to fill. While one group is at the server the next gathers, so a group is as large as the load makes
/// it, and a lone message is committed at once. A group that the server refuses is done again without those that were consumed before,
/// and then in halves, so no message suffers from its neighbours, and one broken one among n costs some 2 log₂ n transactions.
/// </remarks>
sealed class GroupCommit(NpgsqlDataSource dataSource)
{
    const int Most = 256;

    readonly ConcurrentQueue<Member> _waiting = new();
    int _running;

    /// <returns>False when its consumer was already done with the message.</returns>
    public Task<bool> CommitAsync(MessageTransaction transaction)
    {
        var member = new Member(transaction);
        _waiting.Enqueue(member);
        if (Interlocked.CompareExchange(ref _running, 1, 0) == 0)
            _ = RunAsync();
        return member.Done.Task;
    }

    async Task RunAsync()
    {
        var group = new List<Member>();
        do
        {
            while (true)
            {
                group.Clear();
                while (group.Count < Most && _waiting.TryDequeue(out var member))
                    group.Add(member);
                if (group.Count == 0)
                    break;
                await CommitAsync(group);
            }

            Volatile.Write(ref _running, 0);
            // Who came between the last look and this line saw a runner, and started none.
        }
        while (!_waiting.IsEmpty && Interlocked.CompareExchange(ref _running, 1, 0) == 0);
    }

    async Task CommitAsync(List<Member> group)
    {
        try
        {
            await ExecuteAsync(group.ConvertAll(member => member.Transaction));
            foreach (var member in group)
                member.Done.SetResult(true);
        }
        catch (PostgresException exception) when (!PostgresFailure.IsUnavailable(exception))
        {
            // The server refused, so nothing was committed.
            if (group is [var only])
                Refuse(only, exception);
            else
                await CommitApartAsync(group, exception);
        }
        catch (Exception exception)
        {
            // Whether it was committed nobody knows. The messages are tried again, and the inbox knows.
            Fail(group, exception);
        }
    }

    static void Refuse(Member member, PostgresException exception)
    {
        if (InboxTable.IsRepeat(exception))
            member.Done.SetResult(false);
        else
            member.Done.SetException(exception);
    }

    async Task CommitApartAsync(List<Member> group, PostgresException exception)
    {
        if (InboxTable.IsRepeat(exception))
        {
            HashSet<(Guid, string)> consumed;
            try
            {
                consumed = await InboxTable.ConsumedAsync(dataSource, group.ConvertAll(member => member.Transaction));
            }
            catch (Exception failure)
            {
                Fail(group, failure);
                return;
            }

            var known = group.FindAll(member => consumed.Contains(member.Key));
            foreach (var member in known)
                member.Done.SetResult(false);
            if (known.Count > 0)
            {
                var rest = group.FindAll(member => !consumed.Contains(member.Key));
                if (rest.Count > 0)
                    await CommitAsync(rest);
                return;
            }

            // None was there before: two deliveries of one message are in this group. Halves part them.
        }

        var half = group.Count / 2;
        await CommitAsync(group.GetRange(0, half));
        await CommitAsync(group.GetRange(half, group.Count - half));
    }

    static void Fail(List<Member> group, Exception exception)
    {
        foreach (var member in group)
            member.Done.SetException(exception);
    }

    async Task ExecuteAsync(List<MessageTransaction> transactions)
    {
        await using var batch = dataSource.CreateBatch();
        batch.BatchCommands.Add(InboxTable.Insert(transactions));
        List<Guid>? cancelled = null;
        List<OutboxMessage>? published = null;
        foreach (var transaction in transactions)
        {
            foreach (var command in transaction.Deferred)
                batch.BatchCommands.Add(command);
            if (transaction.Cancelled.Count > 0)
                (cancelled ??= []).AddRange(transaction.Cancelled);
            if (transaction.Published.Count > 0)
                (published ??= []).AddRange(transaction.Published);
        }

        if (cancelled is not null)
            batch.BatchCommands.Add(OutboxTable.Cancel(cancelled));
        if (published is not null)
            batch.BatchCommands.Add(OutboxTable.Insert(published));

        // Not begun, the batch is a transaction by itself: Postgres ends it at the batch's only Sync message.
        await batch.ExecuteNonQueryAsync(CancellationToken.None);
    }

    sealed class Member(MessageTransaction transaction)
    {
        public MessageTransaction Transaction => transaction;

        public (Guid, string) Key => (transaction.Entry.MessageId, transaction.Entry.ConsumerId);

        public TaskCompletionSource<bool> Done { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);
    }
}
