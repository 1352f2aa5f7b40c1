using MassTransit;
using Npgsql;
using Pulse.Messaging;

namespace Pulse.EndToEnd.Messaging;

public sealed record Deposited
{
    public required Guid Account { get; init; }
}

public sealed record DepositStored
{
    public required Guid Account { get; init; }
}

/// <summary>What the consumers of one test do beside storing, and what they saw.</summary>
public sealed class Script
{
    int _deliveries;
    int _followUps;

    public int Deliveries => _deliveries;
    public int FollowUps => _followUps;

    /// <summary>Runs after the consumer wrote and published, before its commit. Gets the number of the delivery, from 1.</summary>
    public Func<ConsumeContext, int, Task> AfterWork { get; set; } = (_, _) => Task.CompletedTask;

    internal Task DeliveredAsync(ConsumeContext context) => AfterWork(context, Interlocked.Increment(ref _deliveries));

    internal void FollowedUp() => Interlocked.Increment(ref _followUps);
}

/// <summary>One row and one event for each message.</summary>
public sealed class DepositConsumer(Script script) : IConsumer<Deposited>
{
    public async Task Consume(ConsumeContext<Deposited> context)
    {
        await using (var command = new NpgsqlCommand("insert into bed.deposits (account) values ($1)", await context.Transaction().OpenAsync()))
        {
            command.Parameters.Add(new NpgsqlParameter<Guid> { TypedValue = context.Message.Account });
            await command.ExecuteNonQueryAsync();
        }

        await context.Publish(new DepositStored { Account = context.Message.Account });
        await script.DeliveredAsync(context);
    }
}

/// <summary>One row, and nothing published: its commit has nothing to take along.</summary>
public sealed class QuietConsumer(Script script) : IConsumer<Deposited>
{
    public async Task Consume(ConsumeContext<Deposited> context)
    {
        await using (var command = new NpgsqlCommand("insert into bed.deposits (account) values ($1)", await context.Transaction().OpenAsync()))
        {
            command.Parameters.Add(new NpgsqlParameter<Guid> { TypedValue = context.Message.Account });
            await command.ExecuteNonQueryAsync();
        }

        await script.DeliveredAsync(context);
    }
}

public sealed class DepositStoredConsumer(Script script) : IConsumer<DepositStored>
{
    public Task Consume(ConsumeContext<DepositStored> context)
    {
        context.Transaction().OnCommitted(script.FollowedUp);
        return Task.CompletedTask;
    }
}

/// <summary>Writes without reading: its whole message is one round trip, and one implicit transaction.</summary>
public sealed class DeferringConsumer(Script script) : IConsumer<Deposited>
{
    public async Task Consume(ConsumeContext<Deposited> context)
    {
        context.Transaction().Defer(new NpgsqlBatchCommand("insert into bed.deposits (account) values ($1)")
        {
            Parameters = { new NpgsqlParameter<Guid> { TypedValue = context.Message.Account } },
        });
        await context.Publish(new DepositStored { Account = context.Message.Account });
        await script.DeliveredAsync(context);
    }
}
