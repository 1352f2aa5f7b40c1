using Npgsql;
using Pulse.Messaging;
using Pulse.Messaging.Inbox;

namespace Pulse.EndToEnd.Messaging;

/// <summary>What a group costs when it can't be committed as it is.</summary>
public sealed class GroupCommitTests : IAsyncLifetime
{
    const int Messages = 512;
    readonly Bed _bed = new();

    public Task InitializeAsync() => _bed.InitializeAsync();

    public Task DisposeAsync() => _bed.DisposeAsync();

    [Fact]
    public async Task A_broken_message_costs_its_group_a_few_transactions_and_not_one_for_each()
    {
        var broken = Guid.NewGuid();
        var messages = Ids().Append(broken).ToList();

        var results = await CommitAsync(messages, broken);

        Assert.Equal(PostgresErrorCodes.DivisionByZero, Assert.IsType<PostgresException>(results[broken].Exception?.InnerException).SqlState);
        Assert.All(results.Where(result => result.Key != broken), result => Assert.True(result.Value.Result));
        Assert.Equal(Messages, await _bed.DepositsAsync());
        Assert.Equal(Messages, await _bed.InboxAsync());
        Assert.InRange(await CommitsAsync(), 2, 24);
    }

    [Fact]
    public async Task Messages_that_were_consumed_before_are_told_from_the_others_in_one_look()
    {
        var before = Ids();
        await CommitAsync(before);
        var commits = await CommitsAsync();
        var messages = before.Zip(Ids(), (old, fresh) => new[] { old, fresh }).SelectMany(pair => pair).ToList();

        var results = await CommitAsync(messages);

        Assert.All(before, id => Assert.False(results[id].Result));
        Assert.All(messages.Except(before), id => Assert.True(results[id].Result));
        Assert.Equal(2 * Messages, await _bed.DepositsAsync());
        Assert.InRange(await CommitsAsync() - commits, 2, 8);
    }

    [Fact]
    public async Task Two_deliveries_of_one_message_in_a_group_have_one_effect()
    {
        var commit = new GroupCommit(_bed.Postgres.Worker);
        var twice = Guid.NewGuid();
        var ids = Ids().Append(twice).Append(twice).ToList();
        var results = await Task.WhenAll(ids.Select(id => commit.CommitAsync(Deposit(commit, id))));

        Assert.Equal(Messages + 1, results.Count(first => first));
        Assert.Equal(Messages + 1, await _bed.DepositsAsync());
    }

    static List<Guid> Ids() => [.. Enumerable.Range(0, Messages).Select(_ => Guid.NewGuid())];

    /// <summary>All at once: the first goes alone, all others gather behind it.</summary>
    async Task<Dictionary<Guid, Task<bool>>> CommitAsync(List<Guid> messages, Guid? broken = null)
    {
        var commit = new GroupCommit(_bed.Postgres.Worker);
        var results = messages.ToDictionary(id => id, id => commit.CommitAsync(Deposit(commit, id, id == broken)));
        await Task.WhenAll(results.Values.Select(result => result.ContinueWith(_ => { }, TaskScheduler.Default)));
        return results;
    }

    MessageTransaction Deposit(GroupCommit commit, Guid id, bool broken = false)
    {
        var transaction = new MessageTransaction(_bed.Postgres.Worker, commit, new InboxEntry(id, "deposits", DateTime.UtcNow));
        transaction.Defer(new NpgsqlBatchCommand("insert into bed.deposits (account) values ($1)") { Parameters = { new NpgsqlParameter<Guid> { TypedValue = id } } });
        if (broken)
            transaction.Defer(new NpgsqlBatchCommand("select 1/0"));
        return transaction;
    }

    /// <summary>How many transactions the rows are from.</summary>
    Task<long> CommitsAsync() => _bed.Postgres.AskAsync<long>("select count(distinct xmin::text) from bed.deposits");
}
